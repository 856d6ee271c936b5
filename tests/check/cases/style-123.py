"""What does autograd do under the hood? Own torch.autograd.Function for softmax + cross entropy."""
import torch

num_inputs, num_outputs = 28 * 28, 10

W = torch.normal(0, 0.01, size=(num_inputs, num_outputs), requires_grad=True)
b = torch.zeros(num_outputs, requires_grad=True)


class SoftmaxXent(torch.autograd.Function):
    """logits (n, 10), labels (n,) -> one loss value per image (n,)"""

    @staticmethod
    def forward(ctx, logits, labels):
        shifted = logits - logits.max(dim=1, keepdim=True).values
        log_z = shifted.exp().sum(dim=1, keepdim=True).log()
        logp = shifted - log_z
        ctx.save_for_backward(logp, labels)
        return -logp.gather(1, labels.unsqueeze(1)).squeeze(1)

    @staticmethod
    def backward(ctx, grad_output):
        logp, labels = ctx.saved_tensors
        g = logp.exp()
        g[torch.arange(len(labels)), labels] -= 1.0
        return g * grad_output.unsqueeze(1), None


softmax_xent = SoftmaxXent.apply


def net(X):
    return X.reshape(-1, num_inputs) @ W + b


def accuracy(y_hat, y):
    return (y_hat.argmax(dim=1) == y).sum().item()


def sgd(params, lr):
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad = None


def train_epoch(net, train_iter, loss, updater):
    tot, right, n = 0.0, 0, 0
    for X, y in train_iter:
        out = net(X)
        l = loss(out, y)
        l.mean().backward()
        updater()
        tot += l.sum().item()
        right += accuracy(out, y)
        n += y.numel()
    return tot / n, right / n


def evaluate_accuracy(net, data_iter):
    right, n = 0, 0
    with torch.no_grad():
        for X, y in data_iter:
            right += accuracy(net(X), y)
            n += y.numel()
    return right / n


lr = 0.1


def updater():
    sgd([W, b], lr)
