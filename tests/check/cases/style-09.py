import torch
from torch import nn
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
loss = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

def accuracy(net, data_iter):
    net.eval()
    n = c = 0
    with torch.no_grad():
        for X, y in data_iter:
            c += (net(X).argmax(1) == y).sum().item()
            n += len(y)
    return c / n

def train(net, train_loader, loss, optimizer, num_epochs):
    for epoch in range(num_epochs):
        net.train()
        total = 0
        for X, y in train_loader:
            optimizer.zero_grad()
            l = loss(net(X), y)
            l.backward()
            optimizer.step()
            total += l.item() * len(y)
        print(f"epoch {epoch}: {total}")
