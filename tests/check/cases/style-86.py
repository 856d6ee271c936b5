# 3.6 节练习：softmax 回归（自己的版本，交叉熵用 log-sum-exp 写）
import random
import torch

num_inputs, num_outputs = 784, 10
类别 = ['T恤', '裤子', '套衫', '连衣裙', '外套', '凉鞋', '衬衫', '运动鞋', '包', '短靴']


def init_params(sigma=0.01):
    W = torch.normal(0, sigma, (num_inputs, num_outputs), requires_grad=True)
    b = torch.zeros(num_outputs, requires_grad=True)
    return [W, b]


def softmax(O):
    O = O - O.amax(dim=1, keepdim=True)
    e = O.exp()
    return e / e.sum(dim=1, keepdim=True)


def net(X, params):
    W, b = params
    return X.reshape(-1, num_inputs) @ W + b      # 返回未规范化的 logits


def loss(logits, y):
    """整个批量的交叉熵"""
    lse = torch.logsumexp(logits, dim=1)
    return (lse - logits[torch.arange(len(y)), y]).mean()


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad
            p.grad.zero_()


def data_iter(batch_size, features, labels):
    下标 = list(range(len(features)))
    random.shuffle(下标)   # 随机读取
    for i in range(0, len(下标), batch_size):
        j = torch.tensor(下标[i:i + batch_size])
        yield features[j], labels[j]


def accuracy(logits, y):
    return (logits.argmax(dim=1) == y).sum().item()


def evaluate_accuracy(params, 数据):
    对, 总 = 0, 0
    with torch.no_grad():
        for X, y in 数据:
            对 += accuracy(net(X, params), y)
            总 += len(y)
    return 对 / 总


def train_epoch(params, 数据, lr):
    损失和, 对, 总 = 0.0, 0, 0
    for X, y in 数据:
        logits = net(X, params)
        l = loss(logits, y)
        l.backward()
        sgd(params, lr, len(y))
        损失和 += l.item() * len(y)
        对 += accuracy(logits, y)
        总 += len(y)
    return 损失和 / 总, 对 / 总


def train(features, labels, test_features, test_labels, num_epochs=10, lr=0.1, batch_size=256):
    params = init_params()
    for epoch in range(num_epochs):
        l, acc = train_epoch(params, data_iter(batch_size, features, labels), lr)
        t = evaluate_accuracy(params, data_iter(batch_size, test_features, test_labels))
        print(f'第{epoch + 1}轮 损失{l:.3f} 训练精度{acc:.3f} 测试精度{t:.3f}')
    return params


def predict(X, params):
    with torch.no_grad():
        return [类别[i] for i in softmax(net(X, params)).argmax(1).tolist()]
