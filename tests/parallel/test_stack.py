"""Learners trained together, each against PyTorch's own pieces trained alone."""

import pytest
import torch
from torch import nn

from d2l_softmax import MODES, BatchIterator
from d2l_softmax.parallel.stack import Stack
from d2l_softmax.training import Learner, evaluate
from tests import oracle

PLACE = {"device": torch.device("cpu"), "dtype": torch.float64}
RATES = [{"lr": 0.5}, {"lr": 0.05, "momentum": 0.9}, {"lr": 0.2, "momentum": 0.5, "weight_decay": 0.1}]


def test_a_network_with_dropout_is_evaluated_without_it(blobs):
    def build(num_inputs, num_outputs):
        net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(num_inputs, num_outputs, dtype=torch.float64))
        linear, loss = net[-1], nn.CrossEntropyLoss(reduction="none")
        return Learner(net, loss, torch.optim.SGD(net.parameters(), lr=0.1), linear.weight.T, linear.bias)

    learners = [build(20, 4), build(20, 4)]
    stack = Stack(learners, build)
    batches = BatchIterator(*blobs, 512, **PLACE)
    for learner, own in zip(learners, stack.run_epoch(1, batches, batches), strict=True):
        assert own.test_loss == pytest.approx(evaluate(learner.net, batches, learner.loss)[0], rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_each_learner_is_trained_as_it_would_be_alone(mode, blobs):
    def build(num_inputs, num_outputs, seed=0, **rates):
        generator = torch.Generator().manual_seed(seed)
        return MODES[mode](num_inputs, num_outputs, **{"lr": 1.0, **rates}, generator=generator, **PLACE)

    learners = [build(20, 4, seed, **rates) for seed, rates in enumerate(RATES)]
    starts = [(learner.W.clone(), learner.b.clone()) for learner in learners]
    stack = Stack(learners, build)
    train_iter = BatchIterator(*blobs, 64, seed=1, **PLACE)
    test_iter = BatchIterator(*blobs, 512, **PLACE)
    for epoch in (1, 2):
        results = stack.run_epoch(epoch, train_iter, test_iter)
    for learner, start, rates, result in zip(learners, starts, RATES, results, strict=True):
        linear, (_, trained) = oracle.train(*start, BatchIterator(*blobs, 64, seed=1, **PLACE), 2, **rates)
        W, b = linear.weight.T, linear.bias
        assert (learner.W - W).abs().max() < 1e-12
        assert (learner.b - b).abs().max() < 1e-12
        assert result[1:5] == pytest.approx((*trained, *oracle.evaluate(W, b, *blobs)), rel=1e-12)
        assert learner.net(torch.eye(20, dtype=torch.float64)).sub(W + b).abs().max() < 1e-12
