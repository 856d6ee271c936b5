import torch
W = torch.nn.Parameter(torch.randn(784, 10) * 0.01)
b = torch.nn.Parameter(torch.zeros(10))
def log_softmax(z):
    z = z - z.max(1, keepdim=True).values
    return z - z.exp().sum(1, keepdim=True).log()
def model(x):
    return log_softmax(x.view(-1, 784) @ W + b)
def nll(logp, target):
    return -logp[range(target.shape[0]), target].mean()
loss_func = nll
def accuracy(out, yb):
    preds = torch.argmax(out, dim=1)
    return (preds == yb).float().mean()
def train_epoch(train_dl, lr=0.5):
    for xb, yb in train_dl:
        loss = loss_func(model(xb), yb)
        loss.backward()
        with torch.no_grad():
            W.sub_(lr * W.grad)
            b.sub_(lr * b.grad)
            W.grad.zero_()
            b.grad.zero_()
