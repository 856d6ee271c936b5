"""An epoch's steps captured once in a CUDA graph and replayed: the same code of the modes, without Python in between.

A GPU does one step of softmax regression in less time than Python takes to ask for it. A CUDA graph asks for all
steps of an epoch at once. It repeats them on the same memory, so everything that a step changes is changed in place,
and the order of the images is written to where the captured steps look for it.

It has not been measured on a GPU yet: what is tested is the same logic with a stand-in for the graph.
"""

from collections.abc import Callable
from typing import Any

import torch

from d2l_softmax.data.batches import BatchIterator
from d2l_softmax.training import Tally, take_steps, train_epoch

# Remembers what a function does to the device without doing it, and returns what does it and what it will return.
Capture = Callable[[Callable[[], Tally]], tuple[Callable[[], None], Tally]]


def cuda_graph(function: Callable[[], Tally]) -> tuple[Callable[[], None], Tally]:
    """Capture `function` in a CUDA graph; see `Capture`."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    return graph.replay, result


class CapturedEpoch:
    """`train_epoch` for one learner and one `BatchIterator`, whose second pass is captured and then replayed.

    The first is an ordinary one, as PyTorch asks for before a capture. A new learning rate needs a
    new capture, because numbers are part of what is captured.
    """

    def __init__(self, capture: Capture = cuda_graph):
        self.capture = capture
        self.replay: Callable[[], None] | None = None
        self.rates: list[float] | None = None

    def __call__(
        self, net: Any, train_iter: BatchIterator, loss: Any, updater: Any, backward: Any
    ) -> tuple[float, float]:
        """Make one pass as `train_epoch` does."""
        rates = [group["lr"] for group in updater.param_groups]
        if self.rates is None:
            self.rates = []
            return _aside(lambda: train_epoch(net, train_iter, loss, updater, backward), train_iter.labels.device)
        order = train_iter.new_order()
        if rates != self.rates:
            self.rates, self.order = rates, order

            def steps() -> Tally:
                tally = take_steps(net, train_iter.batches(self.order), loss, updater, backward)
                tally.flush()
                return tally

            self.replay, self.tally = self.capture(steps)
        self.order.copy_(order)
        self.replay()
        return self.tally.means()


def _aside(function: Callable[[], Any], device: torch.device) -> Any:
    """Call `function` on a stream of its own, as everything must be that comes before a capture."""
    if device.type != "cuda":
        return function()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream(device).wait_stream(stream)
    return result
