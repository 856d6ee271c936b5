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

from d2l_softmax import training
from d2l_softmax.errors import UserError
from d2l_softmax.metrics import EpochResult
from d2l_softmax.parallel import is_first, launched
from d2l_softmax.training import Batches, Learner


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


def disconnect() -> None:
    """Leave the other processes once all have come this far."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """Return the device of this process: its own GPU, where there are GPUs."""
    if not dist.is_initialized() or device.type != "cuda":
        return device
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda", torch.cuda.current_device())


def from_first(function: Callable[[], Any]) -> Any:
    """Return in all processes what `function` returns in the first."""
    if not dist.is_initialized():
        return function()
    values = [function() if is_first() else None]
    dist.broadcast_object_list(values)
    return values[0]


def run_epoch(learner: Learner, epoch: int, *data_iters: Batches) -> EpochResult:
    """`training.run_epoch` by all processes together, where there are several: its figures are of all samples."""
    if not dist.is_initialized():
        return training.run_epoch(learner, epoch, *data_iters)
    shards = list(map(Shard, data_iters))
    result = training.run_epoch(_with_summed_gradients(learner), epoch, *shards)
    for split, shard in zip(("train", "test", "validation"), shards, strict=False):
        names = (f"{split}_loss", f"{split}_accuracy")
        own = [shard.samples * getattr(result, name) for name in names]
        sums = torch.tensor([*own, shard.samples], dtype=torch.float64)
        dist.all_reduce(sums)
        result = result._replace(**dict(zip(names, (sums[:-1] / sums[-1]).tolist(), strict=True)))
    return result


class Shard:
    """This process's part of every batch of a data iterator; it may be empty. `samples` counts those of a pass.

    The processes take turns, so that each has samples wherever there are as many samples as processes.
    """

    def __init__(self, data_iter: Batches):
        self.data_iter = data_iter
        self.samples = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, size = dist.get_rank(), dist.get_world_size()
        self.samples = before = 0
        for X, y in self.data_iter:
            part = slice((rank - before) % size, None, size)
            before += len(y)
            self.samples += len(y[part])
            yield X[part], y[part]


def _with_summed_gradients(learner: Learner) -> Learner:
    """A learner whose backward pass adds up the processes' gradients, weighted by their samples, in one message."""
    params = learner.parameters()

    def backward(net: Any, loss: Any, losses: Tensor) -> None:
        count = len(losses)
        if count:
            learner.backward(net, loss, losses)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        flat = [(count * gradient).flatten() for gradient in gradients]
        message = torch.cat([*flat, flat[0].new_tensor([count])])
        dist.all_reduce(message)
        parts = (message[:-1] / message[-1]).split([p.numel() for p in params])
        for p, part in zip(params, parts, strict=True):
            p.grad = part.view(p.shape)

    return learner._replace(backward=backward)
