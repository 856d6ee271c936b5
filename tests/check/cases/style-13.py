import torch

def make_model(num_inputs=784, num_outputs=10):
    W = (torch.randn(num_inputs, num_outputs) * 0.01).requires_grad_(True)
    b = torch.zeros(num_outputs, requires_grad=True)

    def net(X):
        return X.reshape(X.shape[0], -1) @ W + b

    return net, [W, b]

net, params = make_model()

def cross_entropy(logits, y):
    return -(logits - torch.logsumexp(logits, 1, keepdim=True))[torch.arange(len(y)), y]

def sgd(params, lr):
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad.zero_()

def train_epoch(net, params, data_iter, lr=0.1):
    total, count = 0.0, 0
    for X, y in data_iter:
        l = cross_entropy(net(X), y).mean()
        l.backward()
        sgd(params, lr)
        total += l.item() * len(y)
        count += len(y)
    return total / count
