"""Softmax regression from scratch: tensors W and b, softmax, cross-entropy and SGD; autograd computes the gradient.

logits   o = X W + b                       X (batch, features), W (features, classes), b (classes,)
softmax  p_j = exp(o_j) / Σ_k exp(o_k)
loss     l = −log p_y = log Σ_k exp(o_k) − o_y
update   W ← W − lr ∂(mean of l)/∂W, and b likewise
"""

import torch
from torch import Tensor

from d2l_softmax.device import try_gpu
from d2l_softmax.initialisers import normal
from d2l_softmax.training import Learner


def init_params(num_inputs, num_outputs, initialiser=normal, *, generator=None, device=None, dtype=torch.float32):
    """Draw W (num_inputs, num_outputs) and b (num_outputs,), both requiring a gradient.

    They are drawn on the CPU, so that a seed means the same on every device, and then moved to `device` (default:
    `try_gpu()`).
    """
    rows, b = torch.empty(num_outputs, num_inputs, dtype=dtype), torch.empty(num_outputs, dtype=dtype)
    initialiser(rows, b, generator)
    device = try_gpu() if device is None else device
    # W is a transposed view: the weights of each class are contiguous.
    return rows.to(device).T.requires_grad_(), b.to(device).requires_grad_()


class Net:
    """X (batch, …) ↦ logits X W + b (batch, classes); every dimension after the first is flattened."""

    def __init__(self, W: Tensor, b: Tensor):
        self.W, self.b = W, b

    def __call__(self, X: Tensor) -> Tensor:
        """X W + b, computed as (Wᵀ Xᵀ)ᵀ: on a CPU, a product with ten rows takes half as long as with ten columns."""
        return (self.W.T @ X.flatten(start_dim=1).T).T + self.b


def softmax(X: Tensor, dim: int = -1) -> Tensor:
    """exp(x_j) / Σ_k exp(x_k) along `dim`; subtracting the maximum cancels out and keeps exp from overflowing."""
    exp = (X - X.amax(dim, keepdim=True)).exp()
    return exp / exp.sum(dim, keepdim=True)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """−log softmax(logits)_y: one loss per sample, (batch,), of logits (batch, classes) and class indices y (batch,).

    With m = max_k o_k, −log p_y = log Σ_k exp(o_k − m) − (o_y − m). No exp overflows, and the sum is at least
    exp(0) = 1, so the loss is finite unless o_y − m itself overflows. The value does not depend on m, so m needs no
    gradient.
    """
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)
    return shifted.exp().sum(dim=1).log() - shifted.gather(1, y.unsqueeze(1)).squeeze(1)


def cross_entropy_of_probabilities(y_hat: Tensor, y: Tensor) -> Tensor:
    """−log ŷ_y, (batch,): the book's form, on probabilities ŷ (batch, classes); infinite where ŷ_y underflows."""
    return -torch.log(y_hat[range(len(y_hat)), y])


class SGD:
    """Minibatch stochastic gradient descent, as in `torch.optim.SGD`.

    g = ∂loss/∂p + weight_decay p;  v ← momentum v + g (v = 0 at first);  p ← p − lr v
    """

    def __init__(self, params, lr: float, momentum: float = 0.0, weight_decay: float = 0.0):
        self.param_groups = [{"params": list(params), "lr": lr}]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.velocities = [torch.zeros_like(p).detach() for p in self.param_groups[0]["params"]]

    def zero_grad(self) -> None:
        """Discard the gradients of the last step."""
        for p in self.param_groups[0]["params"]:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient."""
        params, lr = self.param_groups[0]["params"], self.param_groups[0]["lr"]
        for p, v in zip(params, self.velocities, strict=True):
            g = p.grad + self.weight_decay * p if self.weight_decay else p.grad
            p -= lr * (v.mul_(self.momentum).add_(g) if self.momentum else g)

    def state_dict(self) -> dict:
        """Return what a resumed run needs."""
        return {"velocities": self.velocities}

    def load_state_dict(self, state: dict) -> None:
        """Restore what `state_dict` returned."""
        for v, saved in zip(self.velocities, state["velocities"], strict=True):
            v.copy_(saved)


def build(num_inputs, num_outputs, *, lr, momentum=0.0, weight_decay=0.0, **start) -> Learner:
    """Assemble the learner; `start` is passed to `init_params`."""
    W, b = init_params(num_inputs, num_outputs, **start)
    return Learner(Net(W, b), cross_entropy, SGD([W, b], lr, momentum, weight_decay), W.detach(), b.detach())
