"""The defects of published versions of this algorithm, by number, each with a test that this one has it not."""

import pytest
import torch
import torch.nn.functional as F
import torchvision.datasets
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from d2l_softmax import MODES, BatchIterator, load_dataset, manual, train_epoch
from d2l_softmax.commands.train import main
from d2l_softmax.data.catalogue import SOURCES
from d2l_softmax.gradient_check import GradientCheck

CPU = torch.device("cpu")
DIGITS = ["--dataset", "digits", "--epochs", "1", "--no-figures", "--logdir"]
every_mode = pytest.mark.parametrize("mode", MODES)


class Operations(TorchDispatchMode):
    """Counts the operations, and those that make a processor wait for its device to read a number from it."""

    def __init__(self):
        super().__init__()
        self.count = self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def build(mode, lr=0.1):
    generator = torch.Generator().manual_seed(0)
    return MODES[mode](20, 4, lr=lr, generator=generator, device=CPU, dtype=torch.float64)


def train_once(learner, blobs, batch_size):
    """The figures of an epoch in batches of this size."""
    train_iter = BatchIterator(*blobs, batch_size, device=CPU, dtype=torch.float64)
    return train_epoch(learner.net, train_iter, learner.loss, learner.updater, learner.backward)


@every_mode
def test_01_the_short_last_batch_is_divided_by_its_own_size(mode, blobs):
    learner, (images, y) = build(mode), (part[:6] for part in blobs)
    W, b, X = learner.W.clone(), learner.b.clone(), images.double().flatten(1) / 255
    # With one batch of 4 and one of 2, the second step uses the mean over its 2 samples.
    for batch in (slice(0, 4), slice(4, 6)):
        p = F.softmax(X[batch] @ W + b, dim=1) - F.one_hot(y[batch], 4)
        W, b = W - 0.1 * X[batch].T @ p / len(p), b - 0.1 * p.mean(dim=0)
    train_once(learner, (images, y), 4)
    assert_close(learner.W, W)
    assert_close(learner.b, b)


def test_02_the_seed_comes_first(tmp_path):
    def weights(name, seed):
        assert main([*DIGITS, str(tmp_path), "--seed", str(seed), "--run-name", name]) == 0
        return torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["W"]

    torch.rand(7)
    first = weights("a", 5)
    torch.rand(3)
    assert torch.equal(first, weights("b", 5))
    assert not torch.equal(first, weights("c", 6))


def test_03_and_06_tags_say_what_they_hold_and_every_run_has_a_folder_of_its_own(tmp_path):
    for _ in range(2):
        assert main([*DIGITS, str(tmp_path)]) == 0
    runs, digits = list(tmp_path.iterdir()), load_dataset("digits")
    assert len(runs) == 2
    for run in runs:
        assert len(list(run.glob("events.out.tfevents.*"))) == 1
        state = torch.load(run / "checkpoint.pt", weights_only=True)
        logits = digits.test_images.flatten(1).double() / 16 @ state["W"].double() + state["b"].double()
        correct = (logits.argmax(dim=1) == digits.test_labels).double().mean().item()
        events = EventAccumulator(str(run)).Reload()
        expected = {"loss/test": F.cross_entropy(logits, digits.test_labels).item(), "accuracy/test": correct}
        assert {tag: events.Scalars(tag)[-1].value for tag in expected} == pytest.approx(expected, rel=1e-5)


@every_mode
def test_04_nothing_is_read_from_the_device_within_an_epoch(mode, blobs):
    def reads(batch_size):
        learner = build(mode)
        with Operations() as operations:
            train_once(learner, blobs, batch_size)
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


@every_mode
@pytest.mark.parametrize("size", [1, 1e4, 1e30])
def test_07_loss_and_gradient_are_right_for_logits_that_overflow_exp(mode, size):
    learner, generator = build(mode), torch.Generator().manual_seed(1)
    X, W, b = (torch.randn(s, dtype=torch.float64, generator=generator) for s in ((4, 20), (20, 4), (4,)))
    W, b, y = size * W, size * b, torch.tensor([1, 0, 2, 3])
    learner.W.copy_(W)
    learner.b.copy_(b)
    losses = learner.loss(learner.net(X), y)
    expected = F.cross_entropy(X @ W.requires_grad_() + b.requires_grad_(), y, reduction="none")
    assert losses.isfinite().all()
    assert_close(losses.detach(), expected.detach())
    learner.backward(learner.net, learner.loss, losses)
    expected.mean().backward()
    dW, db = (p.grad for p in learner.parameters())
    assert_close(dW if dW.shape == W.shape else dW.T, W.grad)
    assert_close(db, b.grad)


def test_08_a_criterions_backward_pass_gives_the_same_twice():
    criterion = manual.CrossEntropy()
    criterion(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0]))
    first = criterion.backward().clone()
    assert torch.equal(criterion.backward(), first)


@every_mode
def test_09_the_epochs_loss_is_a_mean_over_samples_not_over_batches(mode, blobs):
    learner, (images, y) = build(mode, lr=0.0), blobs
    loss, _ = train_once(learner, blobs, 512)
    logits = images.double().div(255).flatten(1) @ learner.W + learner.b
    assert loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-12)


def test_10_the_gradient_check_uses_its_sample():
    linear = manual.Linear(30, 20, device=CPU)
    X = torch.randn(4, 30, dtype=torch.float64)
    assert GradientCheck(linear, sample=7)(X).checked == 3 * 7
    assert GradientCheck(linear, sample=10**6)(X).checked == 4 * 30 + 30 * 20 + 20


def test_11_the_concise_mode_makes_no_parameters_that_nothing_uses():
    learner = build("concise")
    learner.loss(learner.net(torch.rand(3, 20, dtype=torch.float64)), torch.tensor([0, 1, 2])).sum().backward()
    assert {p.shape: p.grad is not None for p in learner.net.parameters()} == {(4, 20): True, (4,): True}


def test_12_every_data_set_has_an_https_mirror_checksums_and_there_are_images_without_a_network():
    for source in SOURCES.values():
        published = getattr(torchvision.datasets, source.folder)
        assert source.mirror.startswith("https://")
        assert set(published.mirrors) - {source.mirror}
        assert list(source.classes) == published.classes
        assert len(published.resources) == 4
        assert all(len(md5) == 32 for _, md5 in published.resources)
    assert len(load_dataset("digits").train_labels) == 1437
