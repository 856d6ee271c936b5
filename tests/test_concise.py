import torch
from torch import nn

from d2l_softmax import concise


def test_the_network_and_its_weights_are_what_the_book_builds():
    learner = concise.build(784, 10, lr=0.1, generator=torch.Generator().manual_seed(1), device=torch.device("cpu"))
    flatten, linear = learner.net
    assert isinstance(flatten, nn.Flatten)
    assert isinstance(linear, nn.Linear)
    assert linear.weight.shape == (10, 784)
    # Of 7,840 draws the deviation strays by 0.01/√15680: five of it.
    assert abs(linear.weight.std().item() - 0.01) < 5 * 0.01 / 15680**0.5
    assert torch.equal(linear.bias, torch.zeros(10))
    assert isinstance(learner.loss, nn.CrossEntropyLoss)
    assert isinstance(learner.updater, torch.optim.SGD)


def test_init_weights_leaves_other_layers_alone():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    net[1].weight.data.fill_(7.0)
    net.apply(concise.init_weights)
    assert torch.equal(net[1].weight, torch.full((3,), 7.0))
    assert torch.equal(net[0].bias, torch.zeros(3))
