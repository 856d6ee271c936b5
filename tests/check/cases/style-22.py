import torch, torch.nn as nn, torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, num_classes=10, hidden=64):
        super().__init__()
        self.fc1 = nn.Linear(784, hidden); self.bn = nn.BatchNorm1d(hidden); self.fc2 = nn.Linear(hidden, num_classes)
    def forward(self, x):
        x = x.flatten(1)
        return self.fc2(F.relu(self.bn(self.fc1(x))))
device = torch.device("cpu")
model = Net().to(device)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
def train(model, loader, criterion, optimizer, device):
    model.train()
    total = 0.0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * x.size(0)
    return total / len(loader.dataset)
def evaluate(model, loader, criterion, device):
    model.eval()
    total, correct = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            out = model(x)
            total += criterion(out, y).item() * x.size(0)
            correct += (out.argmax(1) == y).sum().item()
    n = len(loader.dataset)
    return total / n, correct / n
