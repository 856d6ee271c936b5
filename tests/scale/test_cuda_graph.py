"""Epochs captured and replayed, against ordinary ones, with a stand-in for CUDA graphs that runs anywhere."""

import json
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from d2l_softmax import MODES, BatchIterator, train_epoch
from d2l_softmax.commands import predict
from d2l_softmax.commands.train import main
from d2l_softmax.experiment import job
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.scale.cuda_graph import CapturedEpoch


class Graph(TorchDispatchMode):
    """Keeps every operation with the very tensors it used, and repeats them on the same memory.

    As with a CUDA graph, no Python runs in between, numbers stay what they were, and nothing may be read from the
    device. Unlike with one, capturing carries the operations out, so what they changed is put back at the end.
    """

    def __init__(self):
        super().__init__()
        self.operations, self.before, self.made = [], {}, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "something is read from the device"
        kwargs = kwargs or {}
        for argument, value in zip(function._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.made and storage.data_ptr() not in self.before:
                    self.before[storage.data_ptr()] = (storage, storage.clone())
        outputs = function(*args, **kwargs)
        inputs = {a.untyped_storage().data_ptr() for a in _tensors((args, kwargs))}
        new = [t for t in _tensors(outputs) if t.untyped_storage().data_ptr() not in inputs]
        self.made |= {t.untyped_storage().data_ptr() for t in new}
        self.operations.append((function, args, kwargs, outputs))
        return outputs

    def replay(self):
        for function, args, kwargs, outputs in self.operations:
            repeated = function(*args, **kwargs)
            for old, new in zip(_tensors(outputs), _tensors(repeated), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def _tensors(values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def stand_in(function):
    captures.append(graph := Graph())
    with graph:
        result = function()
    for storage, before in graph.before.values():
        storage.copy_(before)

    def replay():
        with torch.no_grad():
            graph.replay()

    return replay, result


captures: list[Graph] = []


def learner_and_batches(mode, blobs, device="cpu", **settings):
    place = {"device": torch.device(device), "dtype": torch.float64}
    generator = torch.Generator().manual_seed(0)
    learner = MODES[mode](20, 4, lr=0.2, **settings, generator=generator, **place)
    return learner, BatchIterator(*blobs, 64, seed=3, **place)


def passes(one_epoch, learner, batches, rates):
    for rate in rates:
        learner.updater.param_groups[0]["lr"] = rate
        yield one_epoch(learner.net, batches, learner.loss, learner.updater, learner.backward)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_replayed_epochs_are_ordinary_ones(blobs, mode, momentum):
    captures.clear()
    settings = {"momentum": momentum, "weight_decay": 1e-3}
    rates = [0.2, 0.2, 0.2, 0.2, 0.1, 0.1]
    one, other = (learner_and_batches(mode, blobs, **settings) for _ in range(2))
    replayed = list(passes(CapturedEpoch(stand_in), *one, rates))
    ordinary = list(passes(train_epoch, *other, rates))
    assert replayed == ordinary
    assert torch.equal(one[0].W, other[0].W)
    assert torch.equal(one[0].b, other[0].b)
    assert len(captures) == 2  # one for each rate


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", MODES)
def test_epochs_replayed_from_a_cuda_graph_are_ordinary_ones(blobs, mode):
    rates = [0.2, 0.2, 0.2, 0.1]
    one, other = (learner_and_batches(mode, blobs, "cuda", momentum=0.9) for _ in range(2))
    replayed = list(passes(CapturedEpoch(), *one, rates))
    assert replayed == pytest.approx(list(passes(train_epoch, *other, rates)), rel=1e-12)
    torch.testing.assert_close(one[0].W, other[0].W, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--device", "cpu"], "CUDA device, and this is cpu"),
        (["--device", "cpu", "--lr", "0.1", "0.2"], "not for a sweep"),
    ],
)
def test_where_nothing_can_be_captured_it_is_refused(tmp_path, capsys, arguments, reason):
    assert main(["--cuda-graph", "--dataset", "digits", "--logdir", str(tmp_path), *arguments]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert reason in err
    assert not any(tmp_path.iterdir())


def test_a_run_with_captured_epochs_continues_without_a_gpu(tmp_path, monkeypatch):
    options = ["--dataset", "digits", "--no-figures", "--logdir", str(tmp_path), "--run-name", "run"]
    assert main([*options, "--epochs", "1", "--device", "cpu"]) == 0
    path = tmp_path / "run" / "config.json"
    for device, given in (("cuda:0", ["--device", "cpu"]), ("auto", [])):
        config = json.loads(path.read_text())
        config["settings"] |= {"cuda_graph": True, "device": device}
        path.write_text(json.dumps(config))
        monkeypatch.setattr(torch.cuda, "is_available", lambda given=given: bool(given))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
        assert predict.main([str(path.parent)]) == 0
        assert main(["--resume", str(path.parent), "--epochs", str(config["settings"]["epochs"] + 1), *given]) == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_run_with_captured_epochs_is_the_ordinary_run(mode, monkeypatch):
    monkeypatch.setattr(job, "CapturedEpoch", lambda: CapturedEpoch(stand_in))
    captures.clear()
    ordinary = Settings(mode=mode, dataset="digits", batch_size=64, device="cpu", epochs=4)
    setup = job.prepare(ordinary)
    one, other = (job.make_job(s, setup).epochs() for s in (ordinary, replace(ordinary, cuda_graph=True)))
    assert [result._replace(seconds=0) for result in one] == [result._replace(seconds=0) for result in other]
    assert len(captures) == 1
