"""Softmax regression with every gradient derived by hand: forward and backward side by side, no autograd.

logits   Linear: forward and backward
softmax  within the loss, or the model `Softmax`
loss     CrossEntropy: forward and backward
update   SGD of scratch.py, which reads the gradients from `p.grad`

Throughout, L is the mean of the batch's losses. A `Model` maps an input to an output and, backwards, dL/d(output) to
dL/d(input), adding to the gradients of its parameters on the way. A `Criterion` compares an output with a target and
starts the backward pass.
"""

import torch
from torch import Tensor

from d2l_softmax.initialisers import normal
from d2l_softmax.scratch import SGD, init_params, softmax
from d2l_softmax.training import Learner


class Model:
    """A differentiable map. Subclasses define `forward` and `backward`, and list what they learn."""

    def parameters(self) -> list[Tensor]:
        """Return what is learned; the gradient of each parameter p is in `p.grad`."""
        return []

    def forward(self, input: Tensor) -> Tensor:
        """Compute the output, remembering what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad: Tensor) -> Tensor | None:
        """Turn dL/d(output) of the last `forward` into dL/d(input), or None where that is not needed."""
        raise NotImplementedError

    def __call__(self, *args: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(*args)


class Criterion:
    """A loss. Subclasses define `forward`, one loss per sample, and `backward`, the gradient of their mean."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute one loss per sample, (batch,), remembering what `backward` needs."""
        raise NotImplementedError

    def backward(self) -> Tensor:
        """Return dL/d(output) of the last `forward`; calling it again returns the same."""
        raise NotImplementedError

    __call__ = Model.__call__


def add_grad(p: Tensor, grad: Tensor) -> None:
    """Add to `p.grad`, as autograd does."""
    p.grad = grad if p.grad is None else p.grad.add_(grad)


class Linear(Model):
    """y = x W + b, with x (batch, in), W (in, out), b (out,), y (batch, out).

    With g = dL/dy, and y_nj = Σ_i x_ni W_ij + b_j:

        dL/dW_ij = Σ_n x_ni g_nj     dL/dW = xᵀ g
        dL/db_j  = Σ_n g_nj          dL/db = the sum of g over the batch
        dL/dx_ni = Σ_j g_nj W_ij     dL/dx = g Wᵀ

    The last is as much work as the first and not needed where x is the data: `input_gradient=False` omits it.
    The other arguments are those of `scratch.init_params`.
    """

    def __init__(self, in_features, out_features, initialiser=normal, *, input_gradient=True, **start):
        W, b = init_params(in_features, out_features, initialiser, **start)
        self.W, self.b, self.input_gradient = W.detach(), b.detach(), input_gradient

    def parameters(self) -> list[Tensor]:
        """W and b."""
        return [self.W, self.b]

    def forward(self, input: Tensor) -> Tensor:
        """x W + b, as in scratch.py."""
        self.input = input
        return (self.W.T @ input.T).T + self.b

    def backward(self, grad: Tensor) -> Tensor | None:
        """Add xᵀ g = (gᵀ x)ᵀ to the gradient of W and the sum of g to that of b; return g Wᵀ."""
        add_grad(self.W, (grad.T @ self.input).T)
        add_grad(self.b, grad.sum(dim=0))
        return grad @ self.W.T if self.input_gradient else None


class Flatten(Model):
    """(batch, …) ↦ (batch, features)."""

    def forward(self, input: Tensor) -> Tensor:
        """Make every sample a row."""
        self.shape = input.shape
        return input.flatten(start_dim=1)

    def backward(self, grad: Tensor) -> Tensor:
        """Give the gradient the shape of the input."""
        return grad.reshape(self.shape)


class Softmax(Model):
    """p_j = exp(x_j) / Σ_k exp(x_k), row by row.

    dp_j/dx_i = p_j (δ_ij − p_i), so with g = dL/dp, dL/dx_i = Σ_j g_j dp_j/dx_i = p_i (g_i − Σ_j g_j p_j).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Turn each row into probabilities."""
        self.output = softmax(input)
        return self.output

    def backward(self, grad: Tensor) -> Tensor:
        """p (g − Σ_j g_j p_j)."""
        return self.output * (grad - (grad * self.output).sum(dim=1, keepdim=True))


class Sequential(Model):
    """A chain of models is a model: forward from the first to the last, backward from the last to the first."""

    def __init__(self, *models: Model):
        self.models = models

    def parameters(self) -> list[Tensor]:
        """Those of every model, in order."""
        return [p for model in self.models for p in model.parameters()]

    def forward(self, input: Tensor) -> Tensor:
        """Pass the output of each model to the next."""
        for model in self.models:
            input = model.forward(input)
        return input

    def backward(self, grad: Tensor) -> Tensor | None:
        """The chain rule: pass the gradient of each model to the one before it, until one returns None."""
        for model in reversed(self.models):
            if grad is not None:
                grad = model.backward(grad)
        return grad


class CrossEntropy(Criterion):
    """l = −log p_y with p = softmax(o), on logits o (batch, classes) and class indices y (batch,).

    l = log Σ_k exp(o_k) − o_y, so dl/do_j = exp(o_j) / Σ_k exp(o_k) − δ_jy: the gradient of the mean is
    (p − one-hot) / batch.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """log Σ_k exp(o_k − m) − (o_y − m) with m = max_k o_k, as in scratch.py."""
        shifted = output - output.amax(dim=1, keepdim=True)
        exp = shifted.exp()
        total = exp.sum(dim=1, keepdim=True)
        self.probabilities, self.target = exp / total, target.unsqueeze(1)
        return (total.log() - shifted.gather(1, self.target)).squeeze(1)

    def backward(self) -> Tensor:
        """(p − one-hot) / batch."""
        one_hot = torch.zeros_like(self.probabilities).scatter_(1, self.target, 1)
        return (self.probabilities - one_hot) / len(one_hot)


class MSELoss(Criterion):
    """l = ½|ŷ − y|² for each sample, ŷ and y (batch, outputs); dL/dŷ = (ŷ − y) / batch.

    Class indices y (batch,) stand for their one-hot rows, so that it can follow a `Softmax`. There it learns slowly
    where it is most wrong: the derivative of softmax, p_i (δ_ij − p_j), vanishes as p saturates, and cross-entropy is
    the loss whose gradient cancels it.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """½|ŷ − y|² for each sample."""
        if target.ndim < output.ndim:
            target = torch.nn.functional.one_hot(target, output.shape[1]).to(output.dtype)
        self.difference = output - target
        return 0.5 * self.difference.square().sum(dim=1)

    def backward(self) -> Tensor:
        """(ŷ − y) / batch."""
        return self.difference / len(self.difference)


def backward(net: Model, loss: Criterion, losses: Tensor) -> None:
    """The backward pass through criterion and model; `losses` is not needed."""
    net.backward(loss.backward())


def build(num_inputs, num_outputs, *, lr, momentum=0.0, weight_decay=0.0, **start) -> Learner:
    """Assemble the learner; `start` is passed to `scratch.init_params`."""
    linear = Linear(num_inputs, num_outputs, input_gradient=False, **start)
    net = Sequential(Flatten(), linear)
    updater = SGD(net.parameters(), lr, momentum, weight_decay)
    return Learner(net, CrossEntropy(), updater, linear.W, linear.b, backward)
