"""Several processes, started by torchrun, that train as one: each takes its part of every batch.

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
from torch import Tensor, nn

from d2l_softmax.learner import Learner
from d2l_softmax.training import EpochResult


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process is the one that writes: the first, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def connect() -> None:
    """Join the other processes, with Gloo between CPUs and NCCL between GPUs, and let the first one speak for all."""
    if not launched() or dist.is_initialized():
        return
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
        warnings.simplefilter("ignore")
    dist.init_process_group()


def local_device(device: torch.device) -> torch.device:
    """The device of this process among those of its machine: its own GPU, where they are GPUs."""
    if not dist.is_initialized() or device.type != "cuda":
        return device
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda", torch.cuda.current_device())


def disconnect() -> None:
    """Leave the other processes, after they have come as far."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def first_then_others(function: Callable[[], Any]) -> Any:
    """Call `function` in the first process of each machine and, when it is done there, in the others."""
    if not dist.is_initialized():
        return function()
    first_here = os.environ["LOCAL_RANK"] == "0"
    result = function() if first_here else None
    dist.barrier()
    return result if first_here else function()


def from_first(function: Callable[[], Any]) -> Any:
    """What `function` returns in the first process, in all of them."""
    if not dist.is_initialized():
        return function()
    values = [function() if is_first() else None]
    dist.broadcast_object_list(values)
    return values[0]


class Part:
    """This process's part of every batch of a data iterator; it may be empty. `samples` counts a pass's."""

    def __init__(self, data_iter: Any):
        self.data_iter = data_iter
        self.samples = 0

    def __len__(self) -> int:
        return len(self.data_iter)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, size = dist.get_rank(), dist.get_world_size()
        self.samples = 0
        for number, (X, y) in enumerate(self.data_iter):
            # The parts go round, so that where there are fewer samples than processes everyone has some.
            turn = (rank + number) % size
            part = slice(len(y) * turn // size, len(y) * (turn + 1) // size)
            self.samples += part.stop - part.start
            yield X[part], y[part]


def part_of(data_iter: Any) -> Any:
    """`Part` where there are several processes, and the iterator itself where there is one."""
    return data_iter if data_iter is None or not dist.is_initialized() else Part(data_iter)


def combined(result: EpochResult, **parts: Any) -> EpochResult:
    """The result of all processes: means over all samples, from each process's means over its own.

    Args:
        result: of this process.
        parts: the `Part` behind each split's figures: `train`, `test` and, where there is one, `validation`.
    """
    if not dist.is_initialized():
        return result
    figures = result._asdict()
    for split, part in parts.items():
        if part is not None:
            names = (f"{split}_loss", f"{split}_accuracy")
            sums = torch.tensor(
                [part.samples * figures[name] for name in names] + [part.samples], dtype=torch.float64
            )
            dist.all_reduce(sums)
            figures |= zip(names, (sums[:-1] / sums[-1]).tolist(), strict=True)
    return EpochResult(**figures)


def together(learner: Learner) -> Learner:
    """A learner whose steps are those of all processes together."""
    if not dist.is_initialized():
        return learner
    if isinstance(learner.net, nn.Module):
        # DistributedDataParallel averages the processes' gradients while they are still being computed.
        net = nn.parallel.DistributedDataParallel(learner.net)
        return learner._replace(net=net, backward=_averaged_backward)
    return learner._replace(backward=_Summed(learner))


def _averaged_backward(net: Any, loss: Any, losses: Tensor) -> None:
    """Weigh the losses so that the average over processes is the mean over the whole batch."""
    count = torch.tensor(len(losses), device=losses.device)
    dist.all_reduce(count)
    losses.backward(torch.full_like(losses, dist.get_world_size()) / count)


class _Summed:
    """A backward pass followed by the weighted sum of the processes' gradients, in one message."""

    def __init__(self, learner: Learner):
        self.backward, self.gradients = learner.backward, learner.gradients

    def __call__(self, net: Any, loss: Any, losses: Tensor) -> None:
        count = len(losses)
        if count:
            self.backward(net, loss, losses)
        elif losses.requires_grad:
            # Nothing to contribute, but autograd must leave gradients to receive into.
            losses.sum().backward()
        gradients = self.gradients()
        flat = [(count * gradient).flatten() for gradient in gradients]
        message = torch.cat([*flat, flat[0].new_tensor([count])])
        dist.all_reduce(message)
        parts = (message[:-1] / message[-1]).split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
