import torch
W = torch.normal(0, 0.01, (784, 10))
b = torch.zeros(10)
lr = 0.1
def softmax(z):
    z = z - z.max(dim=1, keepdim=True).values
    return z.exp() / z.exp().sum(dim=1, keepdim=True)
def net(x):
    return softmax(x.reshape(len(x), -1) @ W + b)
def cross_entropy(y_hat, y):
    return -y_hat[torch.arange(len(y)), y].log().mean()
def gradients(x, y_hat, y):
    d = y_hat.clone()
    d[torch.arange(len(y)), y] -= 1
    x = x.reshape(len(x), -1)
    return x.T @ d, d.sum(dim=0)
def sgd(params, grads, lr, batch_size):
    for p, g in zip(params, grads):
        p -= lr * g / batch_size
def train_epoch(data_iter):
    total = n = 0
    for x, y in data_iter:
        y_hat = net(x)
        total += cross_entropy(y_hat, y).item() * len(y)
        sgd([W, b], gradients(x, y_hat, y), lr, len(y))
        n += len(y)
    return total / n
