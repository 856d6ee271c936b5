"""The defects of published versions of this algorithm, by number, each with a test that this one has it not.

Numbers 1, 7 and 9 are in test_modes.py, 8 in test_manual.py, and those that `check` names in check; that there are
images without a network is in test_datasets.py.
"""

import pytest
import torch
import torchvision.datasets
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from d2l_softmax import MODES, BatchIterator, load_dataset, manual, train_epoch
from d2l_softmax.commands.train import main
from d2l_softmax.data.catalogue import SOURCES
from d2l_softmax.gradient_check import gradient_check
from tests import oracle, runs

CPU = torch.device("cpu")


class Operations(TorchDispatchMode):
    """Counts the operations, and those that make a processor wait for its device to read a number from it."""

    def __init__(self):
        super().__init__()
        self.count = self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_02_the_seed_comes_first(tmp_path):
    def weights(name, seed):
        assert runs.train(tmp_path, name, "--seed", seed, "--lr", 1e-20) == 0  # the weights stay as they are drawn
        return runs.checkpoint(tmp_path / name)["W"]

    torch.rand(7)
    first = weights("a", 5)
    torch.rand(3)
    assert torch.equal(first, weights("b", 5))
    assert not torch.equal(first, weights("c", 6))


def test_03_and_06_tags_say_what_they_hold_and_every_run_has_a_folder_of_its_own(tmp_path):
    for _ in range(2):
        assert main(["--dataset", "digits", "--epochs", "1", "--no-figures", "--logdir", str(tmp_path)]) == 0
    folders, digits = list(tmp_path.iterdir()), load_dataset("digits")
    assert len(folders) == 2
    for run in folders:
        assert len(list(run.glob("events.out.tfevents.*"))) == 1
        state = runs.checkpoint(run)
        expected = oracle.evaluate(state["W"], state["b"], digits.test_images, digits.test_labels, divisor=16)
        found = [runs.curves(run)[tag][-1][1] for tag in ("loss/test", "accuracy/test")]
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_04_nothing_is_read_from_the_device_within_an_epoch(mode, blobs):
    def reads(batch_size):
        learner, batches = MODES[mode](20, 4, lr=0.1, device=CPU), BatchIterator(*blobs, batch_size, device=CPU)
        with Operations() as operations:
            train_epoch(learner.net, batches, learner.loss, learner.updater, learner.backward)
        return operations.reads

    assert reads(10) == reads(700) <= 3


def test_05_images_are_decoded_once_and_batches_drawn_by_index(blobs):
    def operations(count):
        data_iter = BatchIterator(*(part[:count] for part in blobs), 700, seed=0, device=CPU)
        with Operations() as operations:
            ((X, _),) = data_iter
        assert (len(X), X.device, data_iter.images.dtype) == (count, CPU, torch.uint8)
        return operations.count

    assert operations(7) == operations(700)


def test_10_the_gradient_check_uses_its_sample():
    linear = manual.Linear(30, 20, device=CPU)
    X = torch.randn(4, 30, dtype=torch.float64)
    assert gradient_check(linear, None, X, sample=7).checked == 3 * 7
    assert gradient_check(linear, None, X, sample=10**6).checked == 4 * 30 + 30 * 20 + 20


def test_11_the_concise_mode_is_made_of_pytorchs_pieces_and_has_no_parameters_that_nothing_uses():
    learner = MODES["concise"](20, 4, lr=0.1, device=CPU)
    pieces = [*learner.net, learner.loss, learner.updater]
    assert [*map(type, pieces)] == [nn.Flatten, nn.Linear, nn.CrossEntropyLoss, torch.optim.SGD]
    learner.loss(learner.net(torch.rand(3, 20)), torch.tensor([0, 1, 2])).sum().backward()
    assert {p.shape: p.grad is not None for p in learner.net.parameters()} == {(4, 20): True, (4,): True}


def test_12_every_data_set_has_an_https_mirror_another_and_checksums():
    for source in SOURCES.values():
        published = getattr(torchvision.datasets, source.folder)
        assert source.mirror.startswith("https://")
        assert set(published.mirrors) - {source.mirror}
        assert len(published.resources) == 4
        assert all(len(md5) == 32 for _, md5 in published.resources)
