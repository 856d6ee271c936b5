# -*- coding: utf-8 -*-
"""
李沐《动手学深度学习》softmax 从零实现，自己敲了一遍
数据：Fashion-MNIST
"""
import torch
from torch import Tensor

输入维度, 类别数 = 28 * 28, 10
batch_size = 256
lr = 0.1

w = torch.normal(0, 0.01, (输入维度, 类别数))
W = w.clone().requires_grad_(True)
b = torch.zeros(类别数, requires_grad=True)


def softmax(X: Tensor) -> Tensor:
    # 每一行是一个样本；减最大值不影响结果，但是能避免 exp 溢出
    最大值, _ = torch.max(X, dim=1, keepdim=True)
    X_exp = torch.exp(X - 最大值)
    return X_exp / X_exp.sum(dim=1, keepdim=True)


def net(X: Tensor) -> Tensor:
    return softmax(torch.mm(X.view(-1, 输入维度), W) + b)


def cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    # 只取出真实类别对应的预测概率
    return -torch.log(y_hat.gather(1, y.view(-1, 1))).view(-1)


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    # 返回预测对的个数（不是比例！）
    return (y_hat.argmax(dim=1) == y).float().sum().item()


def evaluate_accuracy(net, data_iter) -> float:
    对的, 总数 = 0.0, 0
    for X, y in data_iter:
        with torch.no_grad():
            对的 += accuracy(net(X), y)
        总数 += y.shape[0]
    return 对的 / 总数


def sgd(params, lr, batch_size):
    for param in params:
        param.data = param.data - lr * param.grad.data / batch_size


def updater(batch_size):
    sgd([W, b], lr, batch_size)
    # 用完的梯度清零，下一个小批量重新累积
    for param in (W, b):
        param.grad.data.zero_()


def train_epoch_ch3(net, train_iter, loss, updater):
    train_l_sum, train_acc_sum, n = 0.0, 0.0, 0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y).sum()
        l.backward()
        updater(y.shape[0])
        train_l_sum += l.item()
        train_acc_sum += accuracy(y_hat, y)
        n += y.shape[0]
    return train_l_sum / n, train_acc_sum / n


if __name__ == "__main__":
    import torchvision
    from torchvision import transforms
    mnist = torchvision.datasets.FashionMNIST("~/data", train=True, download=True,
                                              transform=transforms.ToTensor())
    train_iter = torch.utils.data.DataLoader(mnist, batch_size, shuffle=True)
    for epoch in range(5):
        print(epoch, train_epoch_ch3(net, train_iter, cross_entropy, updater))
