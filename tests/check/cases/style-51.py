from typing import NamedTuple

import torch
from torch import Tensor


class Params(NamedTuple):
    W: Tensor
    b: Tensor


def init_params(num_inputs: int = 784, num_outputs: int = 10, *, seed: int = 0) -> Params:
    g = torch.Generator().manual_seed(seed)
    return Params(0.01 * torch.randn(num_inputs, num_outputs, generator=g), torch.zeros(num_outputs))


def logits(params: Params, X: Tensor) -> Tensor:
    return X.flatten(1) @ params.W + params.b


def loss(params: Params, X: Tensor, y: Tensor) -> Tensor:
    o = logits(params, X)
    return (o.logsumexp(1) - o.gather(1, y[:, None])[:, 0]).mean()


grad = torch.func.grad(loss)


def update(params: Params, grads: Params, lr: float = 0.1) -> Params:
    return Params(*(p - lr * g for p, g in zip(params, grads)))


def train_epoch(params: Params, batches, lr: float = 0.1) -> Params:
    for X, y in batches:
        params = update(params, grad(params, X, y), lr)
    return params


def accuracy(params: Params, X: Tensor, y: Tensor) -> float:
    return (logits(params, X).argmax(1) == y).double().mean().item()
