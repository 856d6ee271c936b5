"""What a GPU must not change: results, comparison, resuming, sweeps, a learner's file, and the check of it."""

import pytest
import torch
from torch.testing import assert_close

from benchmarks import peers
from d2l_softmax import MODES, Dataset
from d2l_softmax.check import check
from d2l_softmax.commands.train import main
from tests import runs
from tests.check.mutants import BOOK, MODULE

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
def test_a_run_on_a_gpu_has_the_figures_and_weights_of_one_on_the_cpu(tmp_path, train, mode):
    options = ["--mode", mode, "--momentum", "0.9", "--weight-decay", "0.01", "--validation", "200"]
    for device in ("cpu", "cuda"):
        assert train(device, *options, "--dtype", "float64", "--device", device, figures=True) == 0
    assert_close(runs.figures(tmp_path / "cuda"), runs.figures(tmp_path / "cpu"), rtol=1e-12, atol=0)
    for name in ("W", "b"):
        found, expected = (runs.checkpoint(tmp_path / device)[name] for device in ("cuda", "cpu"))
        assert_close(found, expected, rtol=1e-10, atol=1e-13)
    assert {path.name for path in (tmp_path / "cuda").glob("*.png")} >= {"curves.png", "weights.png"}


@every_mode
def test_a_resumed_run_has_the_bits_of_one_that_was_never_stopped(tmp_path, train, mode):
    options = ["--mode", mode, "--momentum", "0.9", "--device", "cuda"]
    assert train("whole", *options, "--epochs", "4") == train("parts", *options) == 0
    assert main(["--resume", str(tmp_path / "parts"), "--epochs", "4"]) == 0
    whole, parts = (runs.checkpoint(tmp_path / name) for name in ("whole", "parts"))
    assert torch.equal(whole["W"], parts["W"])
    assert runs.rows(tmp_path / "whole") == runs.rows(tmp_path / "parts")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_modes_take_the_same_steps(tmp_path, train, dtype):
    assert train("all", "--mode", "compare", "--dtype", dtype, "--device", "cuda") == 0


def test_the_runs_of_a_sweep_are_those_alone(tmp_path, train):
    options = ["--device", "cuda", "--dtype", "float64", "--lr"]
    assert train("sweep", *options, "0.1", "0.5") == train("alone", *options, "0.5") == 0
    (member,) = (tmp_path / "sweep").glob("*0.5*")
    assert_close(runs.figures(member), runs.figures(tmp_path / "alone"), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [(BOOK, "return softmax(scores)", "return softmax(scores).detach()"), (MODULE, "updater.zero_grad()", "pass")],
    ids=["book", "module"],
)
def test_a_learners_file_is_trained_and_checked_on_a_gpu(tmp_path, train, monkeypatch, source, right, wrong):
    for text in (source, source.replace(right, wrong)):
        names = {"__name__": "__main__"}
        with torch.device("cuda"):
            exec(text, names)
            for p in (names[name] for name in ("W", "b") if name in names):
                p.data = p.data.cuda()
        state = torch.cuda.get_rng_state()
        assert check(names).ok == (text is source)
        assert torch.equal(torch.cuda.get_rng_state(), state)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(source)
    options = ["--mode", "compare", "--modes", "concise,mine.py", "--resize", "28", "--device", "cuda"]
    assert train("both", *options) == 0


def test_the_textbook_loop_is_measured_on_the_gpu(blobs):
    images, labels = (half.repeat(2, *[1] * (half.ndim - 1)) for half in blobs)
    images = torch.nn.functional.interpolate(images.float(), (28, 28)).byte()
    dataset = Dataset("tiny", images, labels, images, labels, ("a", "b", "c", "d"))
    for name in peers.MOVABLE:
        assert peers.PEERS[name](dataset, torch.device("cuda"))()[0] > 0
