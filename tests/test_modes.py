"""What holds of every mode: one set of checks, run over all of them."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from d2l_softmax import MODES, BatchIterator, train_epoch
from d2l_softmax.initialisers import INITIALISERS

CPU = torch.device("cpu")
every_mode = pytest.mark.parametrize("mode", MODES)


def build(mode, num_inputs=20, num_outputs=4, seed=0, dtype=torch.float64, **options):
    options = {"lr": 0.1} | options
    generator = torch.Generator().manual_seed(seed)
    return MODES[mode](num_inputs, num_outputs, generator=generator, device=CPU, dtype=dtype, **options)


def train(learner, train_iter, epochs=1):
    for _ in range(epochs):
        result = train_epoch(learner.net, train_iter, learner.loss, learner.updater, learner.backward)
    return result


@every_mode
@pytest.mark.parametrize("shape", [(7, 1, 5, 4), (7, 20)])
def test_copying_into_W_and_b_sets_a_linear_layer(mode, shape):
    learner, generator = build(mode), torch.Generator().manual_seed(1)
    X, W, b = (torch.randn(s, dtype=torch.float64, generator=generator) for s in (shape, (20, 4), (4,)))
    learner.W.copy_(W)
    learner.b.copy_(b)
    logits = learner.net(X)
    assert_close(logits.detach(), F.linear(X.reshape(7, 20), W.T, b))
    assert learner.loss(logits, torch.tensor([0, 1, 2, 3, 0, 1, 2])).shape == (7,)


@every_mode
@pytest.mark.parametrize("name", ["the default", *INITIALISERS])
def test_initialisers_draw_what_they_say_and_the_same_in_every_mode(mode, name):
    options = {"initialiser": INITIALISERS[name]} if name in INITIALISERS else {}
    learner = build(mode, 784, 10, seed=7, **options)
    deviation = {"xavier": (2 / 794) ** 0.5, "uniform": 3**-0.5, "zeros": 0.0}.get(name, 0.01)
    # Five times how far the deviation of 7,840 normal draws strays; that of uniform ones strays less.
    assert abs(learner.W.std().item() - deviation) <= 5 * deviation / 15680**0.5
    assert abs(learner.W.mean().item()) <= 5 * deviation / 7840**0.5
    if name == "uniform":
        assert -1 <= learner.W.min() < -0.99
        assert 0.99 < learner.W.max() <= 1
        assert learner.b.abs().max() > 0
    else:
        assert torch.equal(learner.b, torch.zeros(10, dtype=torch.float64))
    scratch = build("scratch", 784, 10, seed=7, **options)
    assert torch.equal(learner.W, scratch.W)
    assert torch.equal(learner.b, scratch.b)


@every_mode
@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"weight_decay": 0.01}, {"momentum": 0.5, "weight_decay": 0.1}],
    ids=["plain", "momentum", "weight decay", "both"],
)
def test_training_follows_torch_optim_sgd(mode, options, blobs):
    learner = build(mode, seed=3, **options)
    linear = nn.Linear(20, 4, dtype=torch.float64)
    linear.weight.data.copy_(learner.W.T)
    linear.bias.data.copy_(learner.b)
    oracle = torch.optim.SGD(linear.parameters(), lr=0.1, **options)
    batches = partial(BatchIterator, *blobs, 64, seed=1, device=CPU, dtype=torch.float64)
    train(learner, batches(), epochs=3)
    train_iter = batches()
    for _ in range(3):
        for X, y in train_iter:
            oracle.zero_grad()
            F.cross_entropy(linear(X.flatten(1)), y).backward()
            oracle.step()
    assert (learner.W - linear.weight.T).abs().max() < 1e-12
    assert (learner.b - linear.bias).abs().max() < 1e-12


@every_mode
def test_one_class_more_than_is_seen_and_one_pixel_are_fine(mode):
    learner = build(mode, 1, 3)
    X, y = torch.rand(5, 1, 1, 1, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0])
    loss, accuracy = train(learner, [(X, y)])
    assert loss == pytest.approx(1.0986, abs=0.05)
    assert 0 <= accuracy <= 1
