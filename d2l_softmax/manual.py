"""Softmax regression with every gradient derived by hand: forward and backward side by side, no autograd.

A `Model` maps an input to an output and, backwards, the gradient with respect to its output to the gradient with
respect to its input, adding to the gradients of its parameters on the way. A `Criterion` compares an output with a
target and starts the way back. Throughout, L is the mean of the batch's losses.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from d2l_softmax import init
from d2l_softmax.device import try_gpu
from d2l_softmax.learner import Learner


class Model:
    """A differentiable map. Subclasses give `forward` and `backward`, and list what they learn."""

    def parameters(self) -> list[Tensor]:
        """What is learned, changed in place by an `Optimizer`."""
        return []

    def gradients(self) -> list[Tensor]:
        """dL/dp for each parameter p, in the same order; `backward` adds to them."""
        return []

    def forward(self, input: Tensor) -> Tensor:
        """Compute the output, remembering what `backward` needs."""
        raise NotImplementedError

    def backward(self, grad: Tensor) -> Tensor | None:
        """Turn dL/d(output) of the last `forward` into dL/d(input), or None if nobody needs that."""
        raise NotImplementedError

    def __call__(self, input: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(input)


class Criterion:
    """A loss. Subclasses give `forward`, one loss a sample, and `backward`, the gradient of their mean."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute one loss a sample, (batch,), remembering what `backward` needs."""
        raise NotImplementedError

    def backward(self) -> Tensor:
        """dL/d(output) of the last `forward`; calling it again gives the same again."""
        raise NotImplementedError

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The same as `forward`."""
        return self.forward(output, target)


class Linear(Model):
    """y = x W + b, with x (batch, in), W (in, out), b (out,), y (batch, out).

    With g = dL/dy, and y_nj = Σ_i x_ni W_ij + b_j:

        dL/dW_ij = Σ_n x_ni g_nj     dL/dW = xᵀ g
        dL/db_j  = Σ_n g_nj          dL/db = the sum of g over the batch
        dL/dx_ni = Σ_j g_nj W_ij     dL/dx = g Wᵀ

    The last is as much work as the first. Where x is the data, nobody needs it: `input_gradient=False` spares it.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        initialiser: Callable = init.normal,
        *,
        input_gradient: bool = True,
        generator: torch.Generator | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        device = try_gpu() if device is None else device
        rows = torch.empty(out_features, in_features, dtype=dtype)
        b = torch.empty(out_features, dtype=dtype)
        initialiser(rows, b, generator)
        # As in scratch.py, each output's weights lie contiguous, and so do their gradients.
        self.W, self.b = rows.to(device).T, b.to(device)
        self.dW, self.db = torch.zeros_like(self.W), torch.zeros_like(self.b)
        self.input_gradient = input_gradient

    def parameters(self) -> list[Tensor]:
        """W and b."""
        return [self.W, self.b]

    def gradients(self) -> list[Tensor]:
        """dL/dW and dL/db."""
        return [self.dW, self.db]

    def forward(self, input: Tensor) -> Tensor:
        """X W + b."""
        self.input = input
        return input @ self.W + self.b

    def backward(self, grad: Tensor) -> Tensor | None:
        """Add to dL/dW and dL/db and return dL/dx."""
        self.dW.addmm_(self.input.T, grad)
        self.db += grad.sum(dim=0)
        return grad @ self.W.T if self.input_gradient else None


class Flatten(Model):
    """(batch, …) ↦ (batch, the product of the rest); the gradient takes the way back."""

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
        self.output = _softmax(input)
        return self.output

    def backward(self, grad: Tensor) -> Tensor:
        """Return dL/dx."""
        return self.output * (grad - (grad * self.output).sum(dim=1, keepdim=True))


class Sequential(Model):
    """A chain of models is a model: forward from the first to the last, backward from the last to the first."""

    def __init__(self, *models: Model):
        self.models = models

    def parameters(self) -> list[Tensor]:
        """Those of every model, in order."""
        return [p for model in self.models for p in model.parameters()]

    def gradients(self) -> list[Tensor]:
        """Those of every model, in order."""
        return [g for model in self.models for g in model.gradients()]

    def forward(self, input: Tensor) -> Tensor:
        """Each model takes what the one before gave."""
        for model in self.models:
            input = model.forward(input)
        return input

    def backward(self, grad: Tensor) -> Tensor | None:
        """The chain rule: each model takes the gradient that the one after it gave, until one gives none."""
        for model in reversed(self.models):
            if grad is not None:
                grad = model.backward(grad)
        return grad


class CrossEntropy(Criterion):
    """l = −log s_y with s = softmax(o), on logits o (batch, classes) and class indices y (batch,).

    l = log Σ_k exp(o_k) − o_y, so dl/do_j = exp(o_j) / Σ_k exp(o_k) − δ_jy: the gradient is s − e_y, divided by the
    number of samples for the mean.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """−log s_y for each sample, finite for every finite logit."""
        shifted = output - output.amax(dim=1, keepdim=True)
        exp = shifted.exp()
        total = exp.sum(dim=1, keepdim=True)
        self.probabilities, self.target = exp / total, target.unsqueeze(1)
        return (total.log() - shifted.gather(1, self.target)).squeeze(1)

    def backward(self) -> Tensor:
        """(s − e_y) / batch."""
        minus_one = self.probabilities.new_full((1, 1), -1).expand(self.target.shape)
        return self.probabilities.scatter_add(1, self.target, minus_one).div_(len(self.target))


class MSELoss(Criterion):
    """l = ½|ŷ − y|² for each sample, ŷ and y (batch, outputs); dL/dŷ = (ŷ − y) / batch.

    Class indices y (batch,) stand for their one-hot rows, so that it can be put on the outputs of a `Softmax`. There
    it learns slowly where it is most wrong: the softmax's own derivative, p_i (δ_ij − p_j), vanishes as p saturates,
    and cross-entropy is the loss whose gradient cancels it.
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


class Optimizer:
    """Changes a model's parameters by its gradients. Subclasses give `step`."""

    def __init__(self, model: Model):
        self.model = model

    def zero_grad(self) -> None:
        """Set the model's gradients to zero; until then they accumulate."""
        for gradient in self.model.gradients():
            gradient.zero_()

    def step(self) -> None:
        """Change the parameters, in place."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with the meaning of `torch.optim.SGD`.

    g = dL/dp + weight_decay p;  v ← momentum v + g (v = g at first);  p ← p − lr v
    """

    def __init__(self, model: Model, lr: float, momentum: float = 0.0, weight_decay: float = 0.0):
        super().__init__(model)
        rates = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        self.param_groups = [{"params": model.parameters(), **rates}]
        self.velocities: list[Tensor] = []

    def step(self) -> None:
        """Move every parameter against its gradient."""
        params, lr, momentum, weight_decay = self.param_groups[0].values()
        directions = self.model.gradients()
        if weight_decay:
            directions = [g + weight_decay * p for g, p in zip(directions, params, strict=True)]
        if momentum:
            self.velocities = self.velocities or [torch.zeros_like(g) for g in directions]
            for v, g in zip(self.velocities, directions, strict=True):
                v.mul_(momentum).add_(g)
            directions = self.velocities
        for p, direction in zip(params, directions, strict=True):
            p.sub_(direction, alpha=lr)

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


def backward(net: Model, loss: Criterion, losses: Tensor) -> None:
    """The way back through criterion and model, adding to the model's gradients; `losses` is not needed."""
    net.backward(loss.backward())


class CheckedEntry(NamedTuple):
    """One derivative: where it stands, as derived and as measured, and the relative error between them."""

    tensor: str
    index: tuple[int, ...]
    derived: float
    measured: float
    error: float


class GradientCheckResult(NamedTuple):
    """The worst entry found, how many were checked, and the settings really used."""

    worst: CheckedEntry
    checked: int
    sample: int
    h: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the worst error is within the tolerance."""
        return self.worst.error <= self.tolerance


class GradientCheck:
    """Hand-derived gradients against central differences, (L(x + h) − L(x − h)) / 2h, in float64.

    Without a criterion, L is the model's output weighted by fixed random numbers, so that no entry of the gradient
    cancels. The error is |derived − measured| / max(1, |derived|, |measured|); the difference quotient itself is
    off by about h² and by 1e-16 / h from rounding, so h = 1e-5 leaves some 1e-10.

    Args:
        model: any model; a copy in float64 is checked.
        criterion: what L is made of; None as above.
        sample: entries taken at random from the input and from each parameter; all, where there are fewer.
        h: step of the differences.
        tolerance: largest error that passes.
        seed: of the sampled entries and of the weights.
    """

    def __init__(
        self,
        model: Model,
        criterion: Criterion | None = None,
        *,
        sample: int = 50,
        h: float = 1e-5,
        tolerance: float = 1e-7,
        seed: int = 0,
    ):
        self.model, self.criterion = copy.deepcopy(model), criterion
        for tensor in (*self.model.parameters(), *self.model.gradients()):
            tensor.data = tensor.data.double()
        self.sample, self.h, self.tolerance, self.seed = sample, h, tolerance, seed

    def __call__(self, input: Tensor, target: Tensor | None = None) -> GradientCheckResult:
        """Check at an input (batch, …), with the criterion's target where there is a criterion."""
        generator = torch.Generator().manual_seed(self.seed)
        input = input.double().clone()
        output = self.model(input)
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device)

        def value() -> float:
            output = self.model(input)
            return float(
                (output * weights).sum() if self.criterion is None else self.criterion(output, target).mean()
            )

        value()
        for gradient in self.model.gradients():
            gradient.zero_()
        grad_input = self.model.backward(weights if self.criterion is None else self.criterion.backward())
        derived = [grad_input, *(g.clone() for g in self.model.gradients())]
        entries = []
        for i, (tensor, gradient) in enumerate(zip([input, *self.model.parameters()], derived, strict=True)):
            for flat in torch.randperm(tensor.numel(), generator=generator)[: self.sample].tolist():
                index = tuple(int(j) for j in torch.unravel_index(torch.tensor(flat), tensor.shape))
                at = tensor[index].clone()
                tensor[index] = at + self.h
                above = value()
                tensor[index] = at - self.h
                below = value()
                tensor[index] = at
                a, m = float(gradient[index]), (above - below) / (2 * self.h)
                error = abs(a - m) / max(1.0, abs(a), abs(m))
                entries.append(CheckedEntry("input" if i == 0 else f"parameter {i - 1}", index, a, m, error))
        # A derivative that is not a number is worse than any that is.
        worst = max(entries, key=lambda entry: float("inf") if entry.error != entry.error else entry.error)
        return GradientCheckResult(worst, len(entries), self.sample, self.h, self.tolerance)


def _softmax(X: Tensor) -> Tensor:
    exp = (X - X.amax(dim=1, keepdim=True)).exp()
    return exp / exp.sum(dim=1, keepdim=True)


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
    linear = Linear(
        num_inputs, num_outputs, initialiser, input_gradient=False, generator=generator, device=device, dtype=dtype
    )
    net = Sequential(Flatten(), linear)
    updater = SGD(net, lr, momentum, weight_decay)
    return Learner(net, CrossEntropy(), updater, linear.W, linear.b, net.gradients, backward)
