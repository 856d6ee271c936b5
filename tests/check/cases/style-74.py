# 简洁实现 softmax 回归
import torch
from torch import nn

batch_size, lr, num_epochs = 256, 0.1, 10

# PyTorch 不会隐式地调整输入的形状,所以先展平
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.normal_(m.weight, std=0.01)
        nn.init.zeros_(m.bias)


net.apply(init_weights)

loss = nn.CrossEntropyLoss(reduction='none')
trainer = torch.optim.SGD(net.parameters(), lr=lr)


def try_gpu(i=0):
    """有 GPU 就用 GPU,没有就用 CPU"""
    if torch.cuda.device_count() >= i + 1:
        return torch.device(f'cuda:{i}')
    return torch.device('cpu')


def accuracy(y_hat, y):
    if len(y_hat.shape) > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(axis=1)
    cmp = y_hat.type(y.dtype) == y
    return float(cmp.type(y.dtype).sum())


def evaluate_accuracy(net, data_iter, device=None):
    if isinstance(net, nn.Module):
        net.eval()
        device = device or next(iter(net.parameters())).device
    correct, total = 0.0, 0
    with torch.no_grad():
        for X, y in data_iter:
            X, y = X.to(device), y.to(device)
            correct += accuracy(net(X), y)
            total += y.numel()
    return correct / total


def train_epoch_ch3(net, train_iter, loss, updater):
    # 训练模式
    if isinstance(net, nn.Module):
        net.train()
    sum_loss, sum_acc, n = 0.0, 0.0, 0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)
        if isinstance(updater, torch.optim.Optimizer):
            # 内置优化器: 用平均损失
            updater.zero_grad()
            l.mean().backward()
            updater.step()
        else:
            # 自己写的优化器: 里面会除以批量大小
            l.sum().backward()
            updater(X.shape[0])
        sum_loss += float(l.sum())
        sum_acc += accuracy(y_hat, y)
        n += y.numel()
    return sum_loss / n, sum_acc / n


def my_sgd(params, lr=lr):
    """返回一个可以当 updater 用的函数"""
    params = list(params)

    def step(batch_size):
        with torch.no_grad():
            for p in params:
                p -= lr * p.grad / batch_size
                p.grad.zero_()
    return step


def train_ch3(net, train_iter, test_iter, loss, num_epochs, updater):
    for epoch in range(num_epochs):
        train_loss, train_acc = train_epoch_ch3(net, train_iter, loss, updater)
        test_acc = evaluate_accuracy(net, test_iter)
        print(f'epoch {epoch + 1}, loss {train_loss:.3f}, train acc {train_acc:.3f}, test acc {test_acc:.3f}')


def predict(net, X):
    net.eval()
    with torch.no_grad():
        return net(X).argmax(dim=1)
