import csv

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from d2l_softmax import MODES, EpochResult
from d2l_softmax.record.checkpoint import load
from d2l_softmax.record.recorder import Recorder

RESULT = EpochResult(1, 0.5, 0.25, 1 / 3, 0.75, 0.1)


@pytest.fixture
def record(tmp_path):
    """A function that records one epoch of a learner with weights of this size, with or without validation."""

    def record(result, size=1.0, validation=0, hparams=None):
        learner, history = MODES["scratch"](6, 3, lr=0.1, device=torch.device("cpu")), []
        learner.W.fill_(size)
        config = {"settings": {"mode": "scratch", "validation": validation}}
        recorder = Recorder(tmp_path, config, learner, torch.Generator(), history, {}, hparams)
        history.append(result)
        recorder(result)
        recorder.close()
        return EventAccumulator(str(tmp_path)).Reload()

    return record


@pytest.mark.parametrize("size", [0.0, 1.0, 1e30])
def test_weights_of_any_finite_size_have_a_histogram(record, size):
    (drawn,) = record(RESULT, size).Histograms("weights")
    assert sum(drawn.histogram_value.bucket) == 18


@pytest.mark.parametrize("result", [RESULT, RESULT._replace(validation_loss=0.7, validation_accuracy=0.125)])
def test_table_curves_and_checkpoint_have_the_figures_of_the_epoch(record, tmp_path, result):
    figures = {name: value for name, value in result._asdict().items() if value is not None}
    events = record(result, validation=len(figures) - 6)
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert {name: float(value) for name, value in row.items()} == figures
    tags = {"/".join(name.split("_")[::-1]): value for name, value in figures.items() if "_" in name}
    assert set(events.Tags()["scalars"]) == set(tags)
    for tag, value in tags.items():
        (point,) = events.Scalars(tag)
        assert (point.step, point.value) == (1, pytest.approx(value))
    assert load(tmp_path)["history"] == [result]


def test_the_checkpoint_says_that_an_epoch_is_done_only_when_its_curves_are_written(record, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.flush", fail)
    with pytest.raises(OSError, match="disk full"):
        record(RESULT)
    assert load(tmp_path) is None


@pytest.mark.parametrize(("validation", "first"), [(9, "accuracy/validation"), (0, "accuracy/test")])
def test_the_first_metric_of_hparams_is_what_one_chooses_by(record, validation, first):
    content = (
        record(RESULT, 1.0, validation, {"lr": 0.1}).SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    )
    assert metadata.parse_experiment_plugin_data(content).metric_infos[0].name.tag == first
