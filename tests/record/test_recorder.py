import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax.modes import MODES
from d2l_softmax.record.recorder import Recorder
from d2l_softmax.training import EpochResult


@pytest.mark.parametrize("size", [0.0, 1.0, 1e30])
def test_weights_of_any_finite_size_have_a_histogram(tmp_path, size):
    learner, generator = MODES["scratch"](6, 3, lr=0.1), torch.Generator()
    learner.W.fill_(size)
    recorder = Recorder(tmp_path, {"settings": {}}, learner, generator, [], validation=False)
    recorder(EpochResult(1, 0.5, 0.5, 0.5, 0.5, 0.1))
    recorder.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (drawn,) = events.Histograms("weights")
    assert sum(drawn.histogram_value.bucket) == 18
