"""What sweeps and comparisons have in common."""

import errno
import os
import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.commands.train import main
from d2l_softmax.record.tensorboard import EventLog
from tests.soak import rows

SWEEP, COMPARE = ["--lr", "0.1", "0.2"], ["--mode", "compare", "--modes", "scratch,manual"]


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((SWEEP, name) for name in ("config.json", "lr=0.1", "sweep.csv", "sweep.png", "events")),
        *((COMPARE, name) for name in ("config.json", "scratch", "drift.csv", "modes.png", "drift.png", "events")),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, capsys, monkeypatch, kind, name):
    def replace(source, target, original=os.replace):
        path = target.relative_to(tmp_path / "run")
        (full if path.parts[0] == name else original)(source, target)

    monkeypatch.setattr(os, "replace", replace)
    if name == "events":
        monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    figures = [] if name.endswith(".png") else ["--no-figures"]
    run = ["--dataset", "digits", "--epochs", "1", "--logdir", str(tmp_path), "--run-name", "run", *figures]
    assert main([*run, *kind]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(
        rf".*: error: cannot write the run to {re.escape(str(tmp_path / 'run'))}: No space.*\n", error
    )


@pytest.mark.parametrize("lost", [1, 3])
def test_a_comparison_that_was_killed_before_its_own_record_of_an_epoch_has_that_epoch_again(tmp_path, lost):
    compare = ["--dataset", "digits", "--no-figures", "--logdir", str(tmp_path), *COMPARE, "--run-name"]
    assert main([*compare, "killed", "--epochs", "3"]) == 0
    drift = tmp_path / "killed" / "drift.csv"
    drift.write_text("".join(drift.read_text().splitlines(keepends=True)[:-lost]))
    assert main(["--resume", str(tmp_path / "killed"), "--epochs", "5"]) == 0
    assert main([*compare, "whole", "--epochs", "5"]) == 0
    assert drift.read_text() == (tmp_path / "whole" / "drift.csv").read_text()
    for mode in ("scratch", "manual"):
        assert rows(tmp_path / "killed" / mode) == rows(tmp_path / "whole" / mode)


def test_a_comparison_that_is_stopped_between_its_records_of_an_epoch_loses_none_of_them(tmp_path, monkeypatch):
    def add(self, points, step, original=EventLog.add):
        if step == 2 and any("differences" in tag for tag in points):
            raise SystemExit
        original(self, points, step)

    compare = ["--dataset", "digits", "--no-figures", "--logdir", str(tmp_path), *COMPARE, "--run-name", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "add", add)
        with pytest.raises(SystemExit):
            main([*compare, "--epochs", "3"])
    assert main(["--resume", str(tmp_path / "run")]) == 0
    events = EventAccumulator(str(tmp_path / "run" / "drift")).Reload()
    for tag in events.Tags()["scalars"]:
        assert [point.step for point in events.Scalars(tag)] == [1, 2, 3]
