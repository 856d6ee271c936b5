"""The script that everyone copies: torchvision's data set, `ToTensor`, a `DataLoader`, a float read in every step.

    python benchmarks/textbook.py FOLDER EPOCHS

FOLDER holds the extracted files in FashionMNIST/raw/. It is what this project is measured against, so it is left as
it is found in the books.
"""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def train_and_evaluate(net, loss, updater, train_loader, test_loader, device="cpu"):
    """One epoch, returning the mean train loss, the train accuracy and the test accuracy."""
    total, correct, count = 0.0, 0.0, 0
    for X, y in train_loader:
        X, y = X.to(device), y.to(device)
        y_hat = net(X)
        batch_loss = loss(y_hat, y)
        updater.zero_grad()
        batch_loss.backward()
        updater.step()
        total += float(batch_loss.detach()) * len(y)
        correct += float((y_hat.argmax(dim=1) == y).sum())
        count += len(y)
    right, seen = 0.0, 0
    with torch.no_grad():
        for X, y in test_loader:
            X, y = X.to(device), y.to(device)
            right += float((net(X).argmax(dim=1) == y).sum())
            seen += len(y)
    return total / count, correct / count, right / seen


def load(folder, batch_size):
    """The loaders of training and test images."""
    return (
        DataLoader(datasets.FashionMNIST(folder, train, transforms.ToTensor()), batch_size, shuffle=train)
        for train in (True, False)
    )


def main(folder, epochs):
    """Train and print what every epoch came to."""
    train_loader, test_loader = load(folder, 256)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.normal_(net[1].weight, std=0.01)
    loss, updater = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(epochs):
        print(epoch + 1, *train_and_evaluate(net, loss, updater, train_loader, test_loader), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
