import pytest
import torch

from d2l_softmax.schedule import LearningRate
from d2l_softmax.training import EpochResult

EPOCHS = 7


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_learning_rates_are_those_of_pytorchs_schedulers(name):
    parameter = torch.nn.Parameter(torch.zeros(1))
    ours = torch.optim.SGD([parameter], lr=0.3)
    theirs = torch.optim.SGD([parameter], lr=0.3)
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(theirs, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=EPOCHS),
    }[name]()
    listener = LearningRate(ours, 0.3, name, EPOCHS)
    parameter.grad = torch.zeros(1)
    for epoch in range(1, EPOCHS):
        theirs.step()
        scheduler.step()
        listener(EpochResult(epoch, 0, 0, 0, 0, 0))
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
