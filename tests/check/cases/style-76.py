"""Softmax regression, column convention (features x examples), torch float64 + hand-made gradients."""
from typing import Dict, Tuple

import torch

torch_dtype = torch.float64
Tensor = torch.Tensor


def to_columns(images: Tensor) -> Tensor:
    """(m, 28, 28) images -> (784, m) matrix, one image per column."""
    return images.to(torch_dtype).reshape(images.shape[0], -1).T


def one_hot(y: Tensor, k: int = 10) -> Tensor:
    out = torch.zeros(k, y.numel(), dtype=torch_dtype)
    out[y, torch.arange(y.numel())] = 1.0
    return out


def init_params(d: int = 784, k: int = 10, seed: int = 0) -> Dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {"W": torch.randn(k, d, generator=g, dtype=torch_dtype) * 0.01,
            "b": torch.zeros(k, 1, dtype=torch_dtype)}


def softmax(Z: Tensor) -> Tensor:
    E = torch.exp(Z - Z.max(dim=0, keepdim=True).values)
    return E / E.sum(dim=0, keepdim=True)


def net(images: Tensor, params: Dict[str, Tensor]) -> Tensor:
    """probabilities, (10, m)"""
    return softmax(params["W"] @ to_columns(images) + params["b"])


def cross_entropy(P: Tensor, Y: Tensor) -> Tensor:
    return -(Y * P.clamp_min(1e-300).log()).sum(dim=0).mean()


def gradients(images: Tensor, P: Tensor, Y: Tensor) -> Dict[str, Tensor]:
    m = Y.shape[1]
    D = (P - Y) / m
    return {"W": D @ to_columns(images).T, "b": D.sum(dim=1, keepdim=True)}


def sgd(params: Dict[str, Tensor], grads: Dict[str, Tensor], lr: float) -> None:
    for name in params:
        params[name] -= lr * grads[name]


def train_epoch(params, batches, lr=0.1) -> Tuple[float, float]:
    loss_sum, hits, n = 0.0, 0, 0
    for images, y in batches:
        P, Y = net(images, params), one_hot(y)
        loss_sum += cross_entropy(P, Y).item() * y.numel()
        hits += (P.argmax(dim=0) == y).sum().item()
        n += y.numel()
        sgd(params, gradients(images, P, Y), lr)
    return loss_sum / n, hits / n


def predict(params, images) -> Tensor:
    return net(images, params).argmax(dim=0)


def accuracy(params, batches) -> float:
    hits = [(predict(params, images) == y).sum().item() for images, y in batches]
    return sum(hits) / sum(y.numel() for _, y in batches)
