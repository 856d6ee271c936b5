"""d2l softmax-regression-scratch, ported to a plain script so I can run it over ssh."""
import sys
import torch

num_inputs = 784
num_outputs = 10

W = torch.normal(0, 0.01, size=(num_inputs, num_outputs), requires_grad=True)
b = torch.zeros(num_outputs, requires_grad=True)
params = [W, b]


class Accumulator:
    """For accumulating sums over `n` variables."""

    def __init__(self, n):
        self.data = [0.0] * n

    def add(self, *args):
        self.data = [a + float(b) for a, b in zip(self.data, args)]

    def __getitem__(self, idx):
        return self.data[idx]


class Printer:
    """Stand-in for Animator."""

    def __init__(self, legend, out=sys.stdout):
        self.legend, self.out, self.rows = legend, out, []

    def add(self, x, values):
        self.rows.append((x, *values))
        print(f"[{x}]", ", ".join(f"{n}={v:.4f}" for n, v in zip(self.legend, values)), file=self.out)


def softmax(X):
    X_exp = torch.exp(X - X.max(dim=1, keepdim=True).values)
    return X_exp / X_exp.sum(dim=1, keepdim=True)


def net(X):
    return softmax(X.reshape(-1, num_inputs) @ W + b)


def cross_entropy(y_hat, y):
    """One value per example."""
    return -torch.log(y_hat[range(len(y_hat)), y])


def accuracy(y_hat, y):
    """Number of correct predictions."""
    return float((y_hat.argmax(dim=1).type(y.dtype) == y).sum())


def evaluate_accuracy(net, data_iter):
    metric = Accumulator(2)
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(accuracy(net(X), y), y.numel())
    return metric[0] / metric[1]


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def train_epoch_ch3(net, train_iter, loss, updater):
    """Returns (training loss per example, training accuracy)."""
    metric = Accumulator(3)
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)
        l.sum().backward()
        updater(X.shape[0])
        metric.add(float(l.sum()), accuracy(y_hat, y), y.numel())
    return metric[0] / metric[2], metric[1] / metric[2]


def train_ch3(net, train_iter, test_iter, loss, num_epochs, lr=0.1):
    printer = Printer(["train loss", "train acc", "test acc"])
    updater = lambda batch_size: sgd(params, lr, batch_size)
    for epoch in range(num_epochs):
        train_metrics = train_epoch_ch3(net, train_iter, loss, updater)
        test_acc = evaluate_accuracy(net, test_iter)
        printer.add(epoch + 1, train_metrics + (test_acc,))
    return printer.rows


if __name__ == "__main__":
    from d2l import torch as d2l
    train_iter, test_iter = d2l.load_data_fashion_mnist(256)
    train_ch3(net, train_iter, test_iter, cross_entropy, int(sys.argv[1]) if len(sys.argv) > 1 else 10)
