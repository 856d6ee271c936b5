"""Several processes, started by torchrun, that train as one: each takes a part of every batch.

The gradient of a batch's mean loss is the sum of the parts' gradients, each weighted by its share of the samples, so
the processes together take exactly the steps that one process would take, whatever their number and also where a
batch does not divide evenly.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from d2l_softmax.errors import UserError
from d2l_softmax.metrics import EpochResult
from d2l_softmax.parallel.launch import is_first, launched
from d2l_softmax.training import Learner


def connect() -> None:
    """Join the other processes, with Gloo between CPUs and NCCL between GPUs; only the first one prints.

    Raises:
        UserError: they cannot be reached.
    """
    if not launched() or dist.is_initialized():
        return
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
        warnings.simplefilter("ignore")
    try:
        dist.init_process_group()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"the processes cannot connect: {error}") from error


def local_device(device: torch.device) -> torch.device:
    """Return the device of this process: its own GPU, where there are GPUs."""
    if not dist.is_initialized() or device.type != "cuda":
        return device
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda", torch.cuda.current_device())


def disconnect() -> None:
    """Leave the other processes once all have come this far."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def from_first(function: Callable[[], Any]) -> Any:
    """Return in all processes what `function` returns in the first."""
    if not dist.is_initialized():
        return function()
    values = [function() if is_first() else None]
    dist.broadcast_object_list(values)
    return values[0]


class Shard:
    """This process's part of every batch of a data iterator; it may be empty. `samples` counts those of a pass.

    The processes take turns, so that each has samples wherever there are as many samples as processes.
    """

    def __init__(self, data_iter: Any):
        self.data_iter = data_iter
        self.samples = 0

    def __len__(self) -> int:
        return len(self.data_iter)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, size = dist.get_rank(), dist.get_world_size()
        self.samples = 0
        before = 0
        for X, y in self.data_iter:
            part = slice((rank - before) % size, None, size)
            before += len(y)
            self.samples += len(y[part])
            yield X[part], y[part]


def shard(data_iter: Any) -> Any:
    """Return a `Shard` where there are several processes, and the iterator itself where there is one."""
    return data_iter if data_iter is None or not dist.is_initialized() else Shard(data_iter)


def reduce_result(result: EpochResult, **shards: Any) -> EpochResult:
    """The result of all processes: means over all samples, from each process's means over its own.

    Args:
        result: of this process.
        shards: the `Shard` behind each split's figures: `train`, `test` and, where there is one, `validation`.
    """
    if not dist.is_initialized():
        return result
    for split, part in shards.items():
        if part is not None:
            names = (f"{split}_loss", f"{split}_accuracy")
            own = [part.samples * getattr(result, name) for name in names]
            sums = torch.tensor([*own, part.samples], dtype=torch.float64)
            dist.all_reduce(sums)
            result = result._replace(**dict(zip(names, (sums[:-1] / sums[-1]).tolist(), strict=True)))
    return result


def wrap_learner(learner: Learner) -> Learner:
    """Return a learner whose steps are those of all processes together."""
    return learner._replace(backward=_SummedBackward(learner)) if dist.is_initialized() else learner


class _SummedBackward:
    """A backward pass followed by the weighted sum of the processes' gradients, in one message."""

    def __init__(self, learner: Learner):
        self.backward, self.params = learner.backward, learner.parameters()

    def __call__(self, net: Any, loss: Any, losses: Tensor) -> None:
        count = len(losses)
        if count:
            self.backward(net, loss, losses)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        flat = [(count * gradient).flatten() for gradient in gradients]
        message = torch.cat([*flat, flat[0].new_tensor([count])])
        dist.all_reduce(message)
        parts = (message[:-1] / message[-1]).split([p.numel() for p in self.params])
        for p, part in zip(self.params, parts, strict=True):
            p.grad = part.view(p.shape)
