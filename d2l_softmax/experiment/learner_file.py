"""A learner's own file as a mode: its net, loss and updater in our loop, from the weights of the built-in modes."""

import inspect
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from d2l_softmax.errors import UserError
from d2l_softmax.modes import is_own_file
from d2l_softmax.scratch import init_params
from d2l_softmax.training import FunctionUpdater, Learner


@contextmanager
def mistakes_in(*modes: str) -> Iterator[None]:
    """Use what modes have built in this block: what the code of a learner's file raises is said with its own line.

    Raises:
        UserError: the code of one of the modes that are files, or the backward pass through it, raised an exception.
    """
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
        raised = [frame for frame in frames if frame.filename in modes]
        if isinstance(error, UserError) or not (raised or any(frame.filename == __file__ for frame in frames)):
            raise
        path = raised[-1].filename if raised else next(filter(is_own_file, modes))
        place = f"{path}:{raised[-1].lineno}" if raised else path
        message = f"{place}: {type(error).__name__}: {error}; run `python check.py {path}`"
        raise UserError(message) from error


def build(path, num_inputs, num_outputs, *, lr, momentum=0.0, weight_decay=0.0, device, dtype, **start) -> Learner:
    """Run a file and assemble a learner of its `net`, `cross_entropy` or `loss`, and `updater` or `optimizer`.

    Its weights are drawn anew by `scratch.init_params`, to which `start` is passed, and its learning rate is `lr`.
    Whether its net returns logits, probabilities or their logarithms, and whether its loss is one per sample, their
    mean or their sum, is found out by trying.

    Raises:
        UserError: it lacks a piece, cannot be run, or is made for images or classes of another number.
    """
    # Only runs of a learner's file need what checks one.
    from d2l_softmax.check.learner import Learner as LearnersFile
    from d2l_softmax.check.learner import run_file

    if momentum or weight_decay:
        raise UserError(f"--momentum and --weight-decay are for the built-in modes: set them in {path}")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            file = LearnersFile(run_file(path), path, {}, {})
    finally:
        torch.set_default_dtype(before)
    pieces = file.pieces
    if lacking := [name for name in ("net", "loss", "updater") if name not in pieces]:
        raise UserError(
            f"{path} has no {' and no '.join(lacking)}: to be trained, it needs net, loss and updater, "
            "which is an optimizer or a function updater(batch_size)"
        )
    net, loss, updater = pieces["net"], pieces["loss"], pieces["updater"]
    parameters = list(net.parameters()) if isinstance(net, nn.Module) else [file.ns.get("W"), file.ns.get("b")]
    if len(parameters) != 2 or not all(isinstance(p, Tensor) and p.is_leaf for p in parameters):
        raise UserError(f"{path} has no W and b, or no net of one linear layer: run `python check.py {path}`")
    for p in parameters:
        p.data = p.data.to(device)  # torch.normal draws on the CPU whatever the default
    W, b = (p.detach() for p in parameters)
    W, b = W.T if W.shape[0] == num_outputs else W, b.flatten()
    if W.shape != (num_inputs, num_outputs) or b.shape != (num_outputs,):
        raise UserError(
            f"{path} is made for {' × '.join(map(str, W.shape))} weights, but these data need {num_inputs} × "
            f"{num_outputs}: choose another --dataset, or --resize {round(len(W) ** 0.5)}"
        )
    drawn = init_params(num_inputs, num_outputs, device=device, dtype=dtype, **start)
    W.copy_(drawn[0].detach())
    b.copy_(drawn[1].detach())
    if not (hasattr(updater, "step") and hasattr(updater, "param_groups")):
        updater = _FileUpdater(updater, parameters, file.ns)
    if (own := {group["lr"] for group in updater.param_groups}) != {lr}:
        rates = ", ".join(map(str, own))
        warnings.warn(f"{path} has its own learning rate, {rates}: here it trains with --lr {lr:g}", stacklevel=2)
    for group in updater.param_groups:
        group["lr"] = lr
    X = torch.rand(3, 1, num_inputs, device=W.device, dtype=dtype)
    with torch.no_grad():
        out = net(X)
    probabilities = _probabilities_of(out)
    if not torch.allclose(probabilities(out), torch.softmax(X.flatten(1) @ W + b, dim=1), atol=1e-4):
        warnings.warn(f"the net of {path} is not softmax(X W + b): run `python check.py {path}`", stacklevel=2)
    own_loss = _Loss(loss, out, updater)
    return Learner(net, own_loss, updater, W, b, own_loss.backward, probabilities)


def _probabilities_of(out: Tensor) -> Callable[[Tensor], Tensor]:
    """What makes probabilities of what a net returns."""
    for function in (torch.clone, torch.exp):
        if (function(out) >= 0).all() and torch.allclose(function(out).sum(dim=1), torch.ones(()).to(out), atol=1e-4):
            return function
    return Learner._field_defaults["probabilities"]


class _Loss:
    """A learner's loss as one loss per sample, and the backward pass through what it returned.

    A function as updater is called after the gradient of the sum, as in the book; an optimizer after the mean's.
    """

    def __init__(self, loss: Callable, out: Tensor, updater: Any):
        self.loss, self.updater = loss, updater
        y = torch.zeros(len(out), dtype=torch.int64, device=out.device)
        once, twice = loss(out, y).sum(), loss(torch.cat([out, out]), torch.cat([y, y])).sum()
        self.is_sum = bool((twice - 2 * once).abs() < (twice - once).abs())

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        self.returned, self.updater.batch_size = self.loss(out, y), len(y)
        if self.returned.ndim:
            if self.returned.numel() != len(y):
                raise ValueError(f"the loss of {len(y)} images has the shape {tuple(self.returned.shape)}")
            return self.returned.flatten()
        return (self.returned / len(y) if self.is_sum else self.returned).expand(y.shape)

    def backward(self, net: Any, loss: Any, losses: Tensor) -> None:
        """Leave the gradient in every parameter's `.grad`."""
        is_function = isinstance(self.updater, FunctionUpdater)
        (self.returned.sum() if is_function else self.returned.mean()).backward()


class _FileUpdater(FunctionUpdater):
    """The book's updater with a learning rate that can be set, and a place in memory that W and b keep."""

    def __init__(self, function: Callable, parameters: list[Tensor], names: dict[str, Any]):
        super().__init__(function if inspect.signature(function).parameters else lambda batch_size: function())
        self.names, self.param_groups = names, [{"params": parameters, "lr": names.get("lr")}]

    def zero_grad(self) -> None:
        """Set the gradients to zero, for an updater that leaves this to the loop."""
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self) -> None:
        """Call the function with the size of this batch."""
        places = [p.detach() for p in self.param_groups[0]["params"]]
        self.names["lr"] = self.param_groups[0]["lr"]
        super().step()
        for p, place in zip(self.param_groups[0]["params"], places, strict=True):
            p.data = place.copy_(p.detach())

    def state_dict(self) -> dict:
        """What the file keeps besides W and b, such as velocities, is not known."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """There is nothing to restore."""
