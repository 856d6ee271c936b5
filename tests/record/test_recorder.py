import numpy as np
import pytest
import torch
from sklearn import metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from d2l_softmax import EpochResult
from d2l_softmax.data.batches import BatchIterator
from d2l_softmax.data.datasets import load_dataset
from d2l_softmax.record import pictures, tensorboard
from d2l_softmax.record.recorder import Recorder, confusion_matrix, scores
from d2l_softmax.training import Learner

RESULT = EpochResult(1, 0.5, 0.25, 1 / 3, 0.75, 0.1)


@pytest.mark.parametrize("size", [0.0, 1.0, 1e30])
def test_weights_of_any_finite_size_have_a_histogram(tmp_path, size):
    tensorboard.write_epoch(tensorboard.event_writer(tmp_path), RESULT, torch.full((6, 3), size))
    (drawn,) = EventAccumulator(str(tmp_path)).Reload().Histograms("weights")
    assert sum(drawn.histogram_value.bucket) == 18


# The second has no image of class 2, and no prediction of class 1.
CASES = [
    (torch.arange(300) % 4, torch.randint(0, 4, (300,), generator=torch.Generator().manual_seed(0))),
    (torch.tensor([0, 1, 1, 3]), torch.tensor([0, 2, 3, 3])),
]


@pytest.mark.parametrize(("labels", "predicted"), CASES)
def test_the_confusion_matrix_and_the_scores_are_those_of_scikit_learn(labels, predicted):
    counts, classes = confusion_matrix(labels, predicted, 4), ["Trouser", "a", "b", "c"]
    assert np.array_equal(counts, metrics.confusion_matrix(labels, predicted))
    head, *rows, last = scores(counts, classes).splitlines()
    assert head.split() == ["precision", "recall", "F1", "images"]
    expected = zip(classes, *metrics.precision_recall_fscore_support(labels, predicted, zero_division=0), strict=True)
    assert [row.split() for row in rows] == [[k, *(f"{x:.4f}" for x in xs), str(n)] for k, *xs, n in expected]
    assert last == f"accuracy {metrics.accuracy_score(labels, predicted):.4f} on {len(labels)} images"


def test_a_network_is_judged_without_dropout_by_its_own_probabilities(tmp_path, monkeypatch):
    data, net, drawn = load_dataset("digits"), nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, 10)), {}
    learner = Learner(net, nn.CrossEntropyLoss(), None, net[-1].weight.T, net[-1].bias)
    learner = learner._replace(probabilities=lambda outputs: outputs.double().softmax(dim=1).flip(1))
    test_iter = BatchIterator(data.test_images, data.test_labels, 64, divisor=data.max_value)
    monkeypatch.setattr(pictures, "show", lambda figure, path, *_: drawn.update({path.stem: figure}))
    config = {"settings": {"mode": "concise", "validation": 0}}
    recorder = Recorder(tmp_path, config, [RESULT])
    recorder.draw(learner, data, test_iter, [RESULT])
    recorder.writer.close()
    logits = net[-1](data.test_images.flatten(1) / data.max_value)
    right = metrics.accuracy_score(data.test_labels, 9 - logits.argmax(dim=1))
    assert f"accuracy {right:.4f} on" in (tmp_path / "scores.txt").read_text()
    assert set(drawn) == {"samples", "weights", "curves", "predictions", "mistakes", "confusion"}
    assert all("concise on digits" in drawn[name].get_suptitle() for name in ("weights", "curves", "predictions"))
    assert net.training
