import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR

from d2l_softmax.experiment.lr_schedule import SCHEDULES

EPOCHS = 7
PYTORCHS = {
    "constant": lambda sgd: ConstantLR(sgd, factor=1.0),
    "cosine": lambda sgd: CosineAnnealingLR(sgd, T_max=EPOCHS),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates_are_those_of_pytorchs_schedulers(name):
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    scheduler = PYTORCHS[name](sgd)
    for epoch in range(1, EPOCHS + 1):
        assert 0.3 * SCHEDULES[name](epoch, EPOCHS) == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-12)
        sgd.step()
        scheduler.step()
