"""Softmax regression from scratch. Parameters live in a small class, loss is taken from the logits."""
import torch

LABELS = "t-shirt trouser pullover dress coat sandal shirt sneaker bag boot".split()


class Params:
    def __init__(self, n_in=784, n_out=10, std=0.01, device="cpu"):
        self.w = torch.empty(n_in, n_out, device=device).normal_(std=std)
        self.b = torch.zeros(n_out, device=device)
        self.w.requires_grad = True
        self.b.requires_grad = True

    def __iter__(self):
        yield self.w
        yield self.b


params = Params()


def net(x, params=params):
    return x.view(x.shape[0], -1) @ params.w + params.b


def log_softmax(z):
    return z - torch.logsumexp(z, dim=-1, keepdim=True)


def softmax(z):
    return torch.exp(log_softmax(z))


def cross_entropy(z, y):
    return -log_softmax(z)[range(len(y)), y].mean()


def sgd(params, lr):
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad.zero_()


def accuracy(z, y):
    return (z.argmax(1) == y).sum().item()


def train_epoch(net, batches, lr=0.1, params=params):
    loss_sum, correct, n = 0.0, 0, 0
    for x, y in batches:
        z = net(x)
        loss = cross_entropy(z, y)
        loss.backward()
        sgd(params, lr)
        loss_sum += loss.item() * len(y)
        correct += accuracy(z, y)
        n += len(y)
    return loss_sum / n, correct / n


@torch.no_grad()
def evaluate_accuracy(net, batches):
    correct = n = 0
    for x, y in batches:
        correct += accuracy(net(x), y)
        n += len(y)
    return correct / n


@torch.no_grad()
def predict(net, x):
    return [LABELS[i] for i in net(x).argmax(1).tolist()]


def train(train_batches, test_batches, epochs=10, lr=0.1):
    curve = []
    for e in range(epochs):
        loss, acc = train_epoch(net, train_batches, lr)
        curve.append((loss, acc, evaluate_accuracy(net, test_batches)))
        print(f"{e + 1:2d}: {loss:.4f} {acc:.4f} {curve[-1][2]:.4f}")
    return curve
