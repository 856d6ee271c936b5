"""A learner's file as a mode, against the built-in modes and `torch.optim.SGD`."""

import pytest
import torch

from d2l_softmax.commands.predict import main as predict
from d2l_softmax.commands.train import main
from tests.conftest import ROOT

RIGHT = (ROOT / "examples" / "mine.py").read_text()
MODULE = """
import torch
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
loss = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
"""
DIGITS = ["--dataset", "digits", "--resize", "28", "--epochs", "2", "--no-figures"]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Write `mine.py`, stand beside it, and return a function that trains there."""
    monkeypatch.chdir(tmp_path)

    def train(code, *arguments):
        (tmp_path / "mine.py").write_text(code)
        return main([*DIGITS, *arguments])

    return train


@pytest.mark.parametrize(
    "code", [RIGHT, MODULE, RIGHT.replace("y])\n", "y]).sum()\n")], ids=["book", "module", "sum"]
)
def test_a_right_file_takes_the_steps_of_the_built_in_mode(train, code, capsys):
    assert train(code, "--mode", "compare", "--modes", "concise,mine.py", "--run-name", "run") == 0
    assert "take the same steps" in capsys.readouterr().out
    W = [torch.load(f"runs/run/{mode}/checkpoint.pt", weights_only=True)["W"] for mode in ("concise", "mine.py")]
    assert torch.allclose(*W, atol=1e-5)
    assert predict(["runs/run/mine.py"]) == 0


MISTAKES = {
    "softmax twice": MODULE.replace("784, 10)", "784, 10), nn.Softmax(dim=1)"),
    "divided twice": RIGHT.replace("y])\n", "y]).mean()\n"),
    "not divided": RIGHT.replace("param.grad / batch_size", "param.grad"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_comparison_finds_a_mistake_and_says_what_names_it(train, capsys, name):
    assert train(MISTAKES[name], "--mode", "compare", "--modes", "concise,mine.py", "--lr", "0.001") == 1
    assert "run `python check.py mine.py`" in capsys.readouterr().err


def test_a_run_is_resumed_only_with_its_own_file_named(train, tmp_path, capsys):
    assert train(RIGHT, "--mode", "mine.py", "--run-name", "run") == 0
    assert main(["--resume", "runs/run", "--epochs", "3"]) == 2
    assert "with --mode mine.py" in capsys.readouterr().err
    (tmp_path / "mine.py").rename("moved.py")
    assert main(["--resume", "runs/run", "--epochs", "3", "--mode", "moved.py"]) == 0
    (tmp_path / "moved.py").write_text(RIGHT + "# changed\n")
    assert main(["--resume", "runs/run", "--epochs", "4", "--mode", "moved.py"]) == 2
    assert "they differ in mode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_of_this_name", "mine.py:1: ModuleNotFoundError"),
        ("lr = 0.1", "mine.py has no net and no loss and no updater"),
        (MODULE.replace("784", "64"), "made for 64 × 10 weights, but these data need 784 × 10"),
        (RIGHT.replace("X.reshape", "X.no_such"), "mine.py:16: AttributeError"),
        (RIGHT.replace("param -= lr", "param = lr"), "mine.py:27: AttributeError"),
        (RIGHT.replace("range(len(y_hat)), y", ":, y"), "mine.py: ValueError: the loss of"),
        (RIGHT.replace("X.reshape(-1, 784) @ W + b", "(X.reshape(-1, 784) @ W + b).detach()"), "RuntimeError"),
    ],
)
@pytest.mark.parametrize("how", [["--mode", "mine.py"], ["--mode", "compare", "--modes", "concise,mine.py"]])
def test_a_file_that_cannot_be_trained_is_one_line(train, capsys, code, said, how):
    assert train(code, *how) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
