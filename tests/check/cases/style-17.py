import torch

def add_ones(X):
    return torch.cat([X, torch.ones(len(X), 1)], dim=1)

def loss(theta, X, y):
    Z = add_ones(X) @ theta
    return torch.nn.functional.cross_entropy(Z, y)

def gradient(theta, X, y):
    Xb = add_ones(X)
    P = torch.softmax(Xb @ theta, dim=1)
    P[torch.arange(len(y)), y] -= 1
    return Xb.T @ P / len(y)
