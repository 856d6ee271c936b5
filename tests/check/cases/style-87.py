import torch
import torch.nn as nn


class Softmax(nn.Module):
    """numerically stable softmax over the classes"""

    def forward(self, x):
        x = x - torch.amax(x, dim=1, keepdim=True)
        e = torch.exp(x)
        return e / torch.sum(e, dim=1, keepdim=True)


class LinearLayer(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.W = nn.Parameter(torch.randn(n_in, n_out) * 0.01)
        self.b = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        return torch.addmm(self.b, x, self.W)


class Net(nn.Module):
    def __init__(self, n_in=784, n_out=10):
        super().__init__()
        self.linear = LinearLayer(n_in, n_out)
        self.softmax = Softmax()

    def forward(self, x):
        x = x.view(-1, 784)
        return self.softmax(self.linear(x))


class CrossEntropy(nn.Module):
    """takes probabilities (not logits!), Y one-hot"""

    def forward(self, probs, Y):
        return -torch.log((Y * probs).sum(dim=1)).mean()


def one_hot(y, num_classes=10):
    out = torch.zeros(y.size(0), num_classes)
    out.scatter_(1, y.unsqueeze(1), 1.0)
    return out


class Trainer:
    def __init__(self, net, lr=0.1):
        self.net = net
        self.criterion = CrossEntropy()
        self.optimizer = torch.optim.SGD(net.parameters(), lr=lr)
        self.history = []

    def train_epoch(self, loader):
        self.net.train()
        total, n = 0.0, 0
        for X, y in loader:
            loss = self.criterion(self.net(X), one_hot(y))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y)
            n += len(y)
        return total / n

    @torch.no_grad()
    def evaluate_accuracy(self, loader):
        self.net.eval()
        correct, n = 0, 0
        for X, y in loader:
            correct += (self.net(X).argmax(dim=1) == y).sum().item()
            n += len(y)
        return correct / n

    def fit(self, train_loader, test_loader, epochs):
        for epoch in range(epochs):
            loss = self.train_epoch(train_loader)
            acc = self.evaluate_accuracy(test_loader)
            self.history.append({"epoch": epoch, "loss": loss, "test_acc": acc})
            print("epoch {epoch}: loss {loss:.4f}, test acc {test_acc:.4f}".format(**self.history[-1]))
        return self.history
