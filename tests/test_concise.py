import torch
from torch import nn

from d2l_softmax import concise


def test_the_learner_is_made_of_pytorchs_pieces():
    learner = concise.build(784, 10, lr=0.1, device=torch.device("cpu"))
    flatten, linear = learner.net
    assert isinstance(flatten, nn.Flatten)
    assert isinstance(linear, nn.Linear)
    assert linear.weight.shape == (10, 784)
    assert isinstance(learner.loss, nn.CrossEntropyLoss)
    assert isinstance(learner.updater, torch.optim.SGD)
