import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.data.batches import BatchIterator
from d2l_softmax.data.datasets import load_dataset
from d2l_softmax.record.report import confusion_matrix, draw_run, scores
from d2l_softmax.training import EpochResult, Learner, evaluate_accuracy

# The second has no image of class 2, and no prediction of class 1.
CASES = [
    (torch.arange(300) % 4, torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(0))),
    (torch.tensor([0, 1, 1, 3]), torch.tensor([0, 2, 3, 3])),
]


@pytest.mark.parametrize(("labels", "predicted"), CASES)
def test_the_confusion_matrix_is_that_of_scikit_learn(labels, predicted):
    assert np.array_equal(confusion_matrix(labels, predicted, 4), metrics.confusion_matrix(labels, predicted))


@pytest.mark.parametrize(("labels", "predicted"), CASES)
def test_the_scores_are_those_of_scikit_learn(labels, predicted):
    classes = ["Trouser", "a", "b", "c"]
    head, *rows, last = scores(confusion_matrix(labels, predicted, 4), classes).splitlines()
    assert head.split() == ["precision", "recall", "F1", "images"]
    expected = zip(*metrics.precision_recall_fscore_support(labels, predicted, zero_division=0), strict=True)
    assert [row.split() for row in rows] == [
        [name, *(f"{figure:.4f}" for figure in figures), str(count)]
        for name, (*figures, count) in zip(classes, expected, strict=True)
    ]
    assert last == f"accuracy {metrics.accuracy_score(labels, predicted):.4f} on {len(labels)} images"


def test_a_network_with_dropout_is_judged_without_it(tmp_path):
    data, net = load_dataset("digits"), nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 10))
    learner = Learner(net, nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters()), net[-1].weight.T, net[-1].bias)
    test_iter = BatchIterator(data.test_images, data.test_labels, 64, scale=data.max_value)
    result = EpochResult(1, 0.5, 0.5, 0.5, 0.5, 0.1)
    with SummaryWriter(str(tmp_path)) as writer:
        text = draw_run(tmp_path, writer, data, learner, test_iter, [result])
    assert f"accuracy {evaluate_accuracy(net, test_iter):.4f} on" in text
    assert net.training
