"""Softmax regression from scratch: tensors W and b, everything by hand but the gradient, which is autograd's.

logits   o = X W + b                       X (batch, features), W (features, classes), b (classes,)
softmax  p_j = exp(o_j) / Σ_k exp(o_k)
loss     l = −log p_y = log Σ_k exp(o_k) − o_y
update   W ← W − lr ∂(mean of l)/∂W, and b likewise
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from d2l_softmax import init
from d2l_softmax.device import try_gpu
from d2l_softmax.learner import Learner


def init_params(
    num_inputs: int,
    num_outputs: int,
    initialiser: Callable = init.normal,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Draw W (num_inputs, num_outputs) and b (num_outputs,), both requiring a gradient.

    They are drawn on the CPU, so that a seed means the same on every device, and live on `device` (default
    `try_gpu()`).
    """
    device = try_gpu() if device is None else device
    rows = torch.empty(num_outputs, num_inputs, dtype=dtype)
    b = torch.empty(num_outputs, dtype=dtype)
    initialiser(rows, b, generator)
    # W is the transposed view: each class's weights lie contiguous, which halves the time of X @ W on a CPU.
    return rows.to(device).T.requires_grad_(), b.to(device).requires_grad_()


class Net:
    """X (batch, …) ↦ logits X W + b (batch, classes); whatever follows the batch dimension is flattened."""

    def __init__(self, W: Tensor, b: Tensor):
        self.W, self.b = W, b

    def __call__(self, X: Tensor) -> Tensor:
        """Compute the logits."""
        return X.flatten(start_dim=1) @ self.W + self.b

    def parameters(self) -> list[Tensor]:
        """W and b."""
        return [self.W, self.b]


def softmax(X: Tensor) -> Tensor:
    """Turn each row of X (batch, classes) into probabilities: exp(x_j) / Σ_k exp(x_k).

    The row's maximum is subtracted first; it cancels in the quotient and keeps exp from overflowing.
    """
    exp = (X - X.amax(dim=1, keepdim=True)).exp()
    return exp / exp.sum(dim=1, keepdim=True)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """−log softmax(logits)_y, one loss a sample, (batch,), finite for every finite logit.

    With m = max_k o_k, −log p_y = log Σ_k exp(o_k − m) − (o_y − m): no exp overflows and no log meets a zero,
    because the sum has at least the term exp(0) = 1. The value does not depend on m, so neither does the gradient,
    and m need not be differentiated.

    Args:
        logits: (batch, classes), floating point.
        y: (batch,), int64, each in 0 … classes − 1.
    """
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)
    return shifted.exp().sum(dim=1).log() - shifted.gather(1, y.unsqueeze(1)).squeeze(1)


def cross_entropy_of_probabilities(y_hat: Tensor, y: Tensor) -> Tensor:
    """−log ŷ_y, one loss a sample, (batch,): the book's form, on probabilities ŷ (batch, classes).

    It is infinite where a probability has underflowed to zero, so training uses `cross_entropy`.
    """
    return -torch.log(y_hat[range(len(y_hat)), y])


class SGD:
    """Minibatch stochastic gradient descent, with the meaning of `torch.optim.SGD`.

    g = ∂loss/∂p + weight_decay p;  v ← momentum v + g (v = g at first);  p ← p − lr v

    Args:
        params: tensors that require a gradient.
        lr: learning rate.
        momentum: in [0, 1); 0 is plain gradient descent.
        weight_decay: the factor of the L2 penalty ½ weight_decay |p|², on every parameter.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0):
        rates = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        self.param_groups = [{"params": list(params), **rates}]
        self.velocities: list[Tensor] = []

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for p in self.param_groups[0]["params"]:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient."""
        params, lr, momentum, weight_decay = self.param_groups[0].values()
        directions = [p.grad + weight_decay * p if weight_decay else p.grad for p in params]
        if momentum:
            self.velocities = self.velocities or [torch.zeros_like(d) for d in directions]
            for v, d in zip(self.velocities, directions, strict=True):
                v.mul_(momentum).add_(d)
            directions = self.velocities
        for p, direction in zip(params, directions, strict=True):
            p -= lr * direction

    def state_dict(self) -> dict:
        """What a continued run needs: the rates and the velocities."""
        rates = [{name: value for name, value in group.items() if name != "params"} for group in self.param_groups]
        return {"param_groups": rates, "velocities": list(self.velocities)}

    def load_state_dict(self, state: dict) -> None:
        """Continue from what `state_dict` returned."""
        for group, rates in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(rates)
        params = self.param_groups[0]["params"]
        self.velocities = [v.to(p, copy=True) for v, p in zip(state["velocities"], params, strict=False)]


def build(
    num_inputs: int,
    num_outputs: int,
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    initialiser: Callable = init.normal,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Learner:
    """Put the pieces together for the training loop."""
    W, b = init_params(num_inputs, num_outputs, initialiser, generator=generator, device=device, dtype=dtype)
    net = Net(W, b)
    updater = SGD(net.parameters(), lr, momentum, weight_decay)
    return Learner(net, cross_entropy, updater, W.detach(), b.detach(), lambda: [W.grad, b.grad])
