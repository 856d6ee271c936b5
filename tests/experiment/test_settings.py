import math
import re

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from d2l_softmax import MODES, UserError
from d2l_softmax.experiment.settings import Settings

REFUSED = [
    ("mode", [""], f"be one of {', '.join(MODES)}"),
    ("lr_schedule", ["linear"], "be one of constant, cosine"),
    ("init", ["ones"], "be one of normal, xavier, uniform, zeros"),
    ("pixels", ["bytes"], "be one of unit, raw"),
    ("dtype", ["half"], "be one of float32, float64"),
    *((name, [0, -1], "be at least 1") for name in ("epochs", "batch_size")),
    ("resize", [0, 2**16], "be at least 1 and below 2^16"),
    ("validation", [-1], "be at least 0"),
    ("seed", [-1, 2**63], "be at least 0 and below 2^63"),
    ("lr", [0.0, -0.1, math.inf, math.nan], "be above 0 and finite"),
    ("momentum", [-0.1, 1.0, math.nan], "be at least 0 and below 1"),
    ("weight_decay", [-1e-9, math.inf, math.nan], "be at least 0 and finite"),
    ("run_name", ["", ".", "..", "../run", "/run", "run/../.."], "be the name of a folder inside --logdir"),
]


@pytest.mark.parametrize(("name", "values", "allowed"), REFUSED)
def test_a_value_that_is_not_allowed_is_named_with_what_is(name, values, allowed):
    said = rf"^--{name.replace('_', '-')} must {re.escape(allowed)}.*, got .?"
    for value in values:
        with pytest.raises(UserError, match=said + re.escape(str(value))):
            Settings(**{name: value})


def test_the_nearest_choice_is_suggested():
    with pytest.raises(UserError, match=r"got 'scrach'; did you mean scratch\?$"):
        Settings(mode="scrach")


def test_the_ends_of_what_is_allowed_are_allowed():
    ends = {"epochs": 1, "resize": None, "seed": 2**63 - 1, "lr": 1, "momentum": 0.0, "run_name": "a/b"}
    settings = Settings(**ends)
    assert {name: getattr(settings, name) for name in ends} == ends


def test_cosine_learning_rates_are_those_of_pytorchs_scheduler():
    sgd = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    scheduler, settings = CosineAnnealingLR(sgd, T_max=7), Settings(lr=0.3, lr_schedule="cosine", epochs=7)
    for epoch in range(1, 8):
        assert settings.learning_rate(epoch) == pytest.approx(sgd.param_groups[0]["lr"], rel=1e-12)
        sgd.step()
        scheduler.step()
