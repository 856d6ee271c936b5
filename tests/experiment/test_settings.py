import math
import os

import pytest

from d2l_softmax import MODES, UserError
from d2l_softmax.experiment.settings import Settings

WHOLE, FINITE = "must be a whole number", "must be a finite number"
REFUSED = [
    ("mode", ["", 1, None], f"must be one of {', '.join(MODES)}"),
    ("lr_schedule", ["linear"], "must be one of constant, cosine"),
    ("init", ["ones"], "must be one of normal, xavier, uniform, zeros"),
    ("pixels", ["bytes"], "must be one of unit, raw"),
    ("dtype", ["half"], "must be one of float32, float64"),
    *((name, [0, -1, 1.0, "1", True], f"{WHOLE} of at least 1") for name in ("epochs", "batch_size")),
    ("resize", [0, 1.0, 2**16], f"{WHOLE} of at least 1 and below 65536"),
    ("validation", [-1, 0.5, None], f"{WHOLE} of at least 0"),
    ("seed", [-1, 2**63, 1.0], f"{WHOLE} of at least 0 and below 9223372036854775808"),
    ("lr", [0.0, -0.1, math.inf, math.nan, "0.1", True, None], f"{FINITE} above 0"),
    ("momentum", [-0.1, 1.0, math.nan], f"{FINITE} of at least 0 and below 1"),
    ("weight_decay", [-1e-9, math.inf, math.nan, 10**30], f"{FINITE} of at least 0"),
    ("data_dir", [1, None, os.fsdecode(b"\xff")], "must be text in UTF-8"),
    ("figures", [1, "yes", None], "must be true or false"),
    ("run_name", ["", ".", "..", "../run", "/run", "run/../..", "x" * 256], "must name a folder inside --logdir"),
]


@pytest.mark.parametrize(("name", "values", "allowed"), REFUSED)
def test_a_value_that_is_not_allowed_is_named_with_what_is(name, values, allowed):
    for value in values:
        with pytest.raises(UserError) as error:
            Settings(**{name: value})
        assert str(error.value) == f"--{name.replace('_', '-')} {allowed}, got {value!r}"


def test_the_nearest_choice_is_suggested():
    with pytest.raises(UserError, match=r"got 'scrach'; did you mean scratch\?$"):
        Settings(mode="scrach")


def test_the_ends_of_what_is_allowed_are_allowed():
    ends = {"epochs": 1, "resize": None, "seed": 2**63 - 1, "lr": 1, "momentum": 0.0, "run_name": "a/" + "x" * 255}
    settings = Settings(**ends)
    assert {name: getattr(settings, name) for name in ends} == ends
