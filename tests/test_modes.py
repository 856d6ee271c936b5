"""What holds of every mode: one set of checks, run over all of them. Traps 1, 7 and 9 are among them."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import MODES, BatchIterator, train_epoch
from d2l_softmax.initialisers import INITIALISERS
from tests import oracle

CPU = torch.device("cpu")
every_mode = pytest.mark.parametrize("mode", MODES)


def build(mode, num_inputs=20, num_outputs=4, seed=0, **options):
    options = {"lr": 0.1, "generator": torch.Generator().manual_seed(seed)} | options
    return MODES[mode](num_inputs, num_outputs, device=CPU, dtype=torch.float64, **options)


@every_mode
@pytest.mark.parametrize("size", [1, 1e4, 1e30])
def test_loss_and_gradient_are_pytorchs_also_for_logits_that_overflow_exp(mode, size):
    learner, generator = build(mode), torch.Generator().manual_seed(1)
    X, W, b = (torch.randn(s, dtype=torch.float64, generator=generator) for s in ((4, 1, 5, 4), (20, 4), (4,)))
    W, b, y = size * W, size * b, torch.tensor([1, 0, 2, 3])
    # Copying into W and b sets the network.
    learner.W.copy_(W)
    learner.b.copy_(b)
    losses = learner.loss(learner.net(X), y)
    assert_close(learner.net(X.flatten(1)), learner.net(X))
    expected = F.cross_entropy(X.flatten(1) @ W.requires_grad_() + b.requires_grad_(), y, reduction="none")
    assert losses.isfinite().all()
    assert_close(losses.detach(), expected.detach())
    learner.backward(learner.net, learner.loss, losses)
    expected.mean().backward()
    dW, db = (p.grad for p in learner.parameters())
    assert_close(dW if dW.shape == W.shape else dW.T, W.grad)
    assert_close(db, b.grad)


@every_mode
@pytest.mark.parametrize("name", ["the default", *INITIALISERS])
def test_initialisers_draw_what_they_say_and_the_same_in_every_mode(mode, name):
    options = {"initialiser": INITIALISERS[name]} if name in INITIALISERS else {}
    learner, scratch = (build(one, 784, 10, seed=7, **options) for one in (mode, "scratch"))
    deviation = {"xavier": (2 / 794) ** 0.5, "uniform": 3**-0.5, "zeros": 0.0}.get(name, 0.01)
    # Five times how far the deviation of 7,840 normal draws strays; that of uniform ones strays less.
    assert abs(learner.W.std().item() - deviation) <= 5 * deviation / 15680**0.5
    assert abs(learner.W.mean().item()) <= 5 * deviation / 7840**0.5
    if name == "uniform":
        assert -1 <= learner.W.min() < -0.99
        assert 0.99 < learner.W.max() <= 1
    assert bool(learner.b.any()) == (name == "uniform")
    assert torch.equal(learner.W, scratch.W)
    assert torch.equal(learner.b, scratch.b)


@every_mode
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_training_follows_torch_optim_sgd_and_reports_means_over_samples(mode, momentum, weight_decay, blobs):
    rates = {"lr": 0.1, "momentum": momentum, "weight_decay": weight_decay}
    learner = build(mode, **rates)
    # The last batch has 60 samples, and is divided by them.
    ours, pytorchs = (BatchIterator(*blobs, 64, seed=1, device=CPU, dtype=torch.float64) for _ in range(2))
    linear, expected = oracle.train(learner.W, learner.b, pytorchs, 3, **rates)
    for figures in expected:
        found = train_epoch(learner.net, ours, learner.loss, learner.updater, learner.backward)
        assert found == pytest.approx(figures, rel=1e-12)
    assert (learner.W - linear.weight.T).abs().max() < 1e-12
    assert (learner.b - linear.bias).abs().max() < 1e-12
