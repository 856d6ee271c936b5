"""A stack of networks; that each is trained as it would be alone is in test_sweep.py."""

import pytest
import torch
from torch import nn

from d2l_softmax import BatchIterator
from d2l_softmax.parallel.stack import Stack
from d2l_softmax.training import Learner, evaluate


def test_a_network_with_dropout_is_evaluated_without_it(blobs):
    def build(num_inputs, num_outputs):
        net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(num_inputs, num_outputs, dtype=torch.float64))
        linear, loss = net[-1], nn.CrossEntropyLoss(reduction="none")
        return Learner(net, loss, torch.optim.SGD(net.parameters(), lr=0.1), linear.weight.T, linear.bias)

    learners = [build(20, 4), build(20, 4)]
    stack = Stack(learners, build)
    batches = BatchIterator(*blobs, 512, device=torch.device("cpu"), dtype=torch.float64)
    for learner, own in zip(learners, stack.run_epoch(1, batches, batches), strict=True):
        assert own.test_loss == pytest.approx(evaluate(learner.net, batches, learner.loss)[0], rel=1e-12)
