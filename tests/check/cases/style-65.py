import torch
from torch import nn
device = "cuda"
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
loss = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

def evaluate_accuracy(net, data_iter):
    net.eval()
    right = n = 0
    with torch.no_grad():
        for X, y in data_iter:
            X, y = X.to(device), y.to(device)
            right += (net(X).argmax(1) == y).sum().item()
            n += y.numel()
    return right / n

def train_epoch(net, train_iter, loss, updater):
    net.train()
    total = n = 0
    for X, y in train_iter:
        X, y = X.to(device), y.to(device)
        l = loss(net(X), y)
        updater.zero_grad()
        l.backward()
        updater.step()
        total += l.item() * len(y)
        n += len(y)
    return total / n

def main():
    net.to(device)
