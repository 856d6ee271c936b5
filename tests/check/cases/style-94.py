"""
FashionMNIST with a linear classifier (my first PyTorch project).
Adapted from the official "quickstart" tutorial.
"""
import torch
from torch import nn

device = "cpu"
learning_rate = 1e-2


class LinearClassifier(nn.Module):
    def __init__(self, n_pixels=28 * 28, n_classes=10):
        super().__init__()
        self.flatten = nn.Flatten()
        self.logits = nn.Linear(n_pixels, n_classes)
        # statistics of the training set, computed once
        self.register_buffer("mean", torch.tensor(0.2860))
        self.register_buffer("std", torch.tensor(0.3530))

    def forward(self, x):
        x = (self.flatten(x) - self.mean) / self.std
        return self.logits(x)

    def predict_proba(self, x):
        # softmax only here, the criterion has its own
        return torch.softmax(self(x), dim=-1)


model = LinearClassifier().to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate,
                            momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)


def train_epoch(model, train_loader, criterion, optimizer):
    model.train()
    total, correct, seen = 0.0, 0, 0
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        out = model(images)
        batch_loss = criterion(out, labels)
        model.zero_grad()
        batch_loss.backward()
        optimizer.step()
        total += batch_loss.item() * images.size(0)
        correct += (out.argmax(1) == labels).sum().item()
        seen += images.size(0)
    return total / seen, correct / seen


@torch.no_grad()
def evaluate_accuracy(model, loader):
    model.eval()
    hits = torch.cat([model.predict_proba(x.to(device)).argmax(-1).cpu() == y
                      for x, y in loader])
    return hits.double().mean().item()


def fit(train_loader, test_loader, epochs=10):
    for t in range(epochs):
        loss, acc = train_epoch(model, train_loader, criterion, optimizer)
        scheduler.step()
        print(f"[{t + 1:>2d}] loss {loss:.4f}  train {acc:.3f}  "
              f"test {evaluate_accuracy(model, test_loader):.3f}")


if __name__ == "__main__":
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms
    tf = transforms.ToTensor()
    tr = datasets.FashionMNIST("data", train=True, download=True, transform=tf)
    te = datasets.FashionMNIST("data", train=False, download=True, transform=tf)
    fit(DataLoader(tr, 64, shuffle=True), DataLoader(te, 256))
