import csv
import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from filelock import FileLock, Timeout

from d2l_softmax import UserError
from d2l_softmax.experiment.resume import read_run
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.record import run_folder
from d2l_softmax.record.run_folder import create_run_folder, locked


def test_runs_started_at_once_get_folders_of_their_own(tmp_path):
    before = datetime.now().replace(microsecond=0)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(create_run_folder, [tmp_path / "runs"] * 40, ["my data/ü-scratch"] * 40))
    assert len(set(folders)) == 40
    for folder in folders:
        assert folder.parent == tmp_path / "runs"
        time = re.fullmatch(r"my_data_ü-scratch-(\d{8}-\d{6})(-\d+)?", folder.name)[1]
        assert before <= datetime.strptime(time, "%Y%m%d-%H%M%S") <= datetime.now()


def test_a_name_is_used_exactly_and_refused_when_taken(tmp_path):
    folder = create_run_folder(tmp_path, "digits-scratch", "my/run")
    assert folder == create_run_folder(tmp_path, "digits-scratch", "my/run") == tmp_path / "my" / "run"
    data = {"name": "靴", "sha256": "0", "height": 8, "width": 6, "max_value": 255, "classes": ["a", "ü"]}
    config = {"settings": {"lr": 0.1}, "data": data, "command": [os.fsdecode(b"\xff")]}
    run_folder.write_config(folder, config)
    with pytest.raises(UserError, match="run already holds a run"):
        create_run_folder(tmp_path, "digits-scratch", "my/run")
    assert read_run(folder) == (Settings(lr=0.1), data)


def test_a_folder_is_locked_for_other_processes_until_it_is_released(tmp_path):
    other = FileLock(tmp_path / ".lock", timeout=0)
    with other, pytest.raises(UserError, match="still being written"), locked(tmp_path):
        pass
    with locked(tmp_path), pytest.raises(Timeout):
        other.acquire()
    other.acquire()


@pytest.mark.parametrize("content", [b'{"settings": {"lr": 0.1', b"[]", b'{"settings": {}, "data": {}}', b"\x80\xff"])
def test_a_damaged_config_or_none_is_refused_by_name(tmp_path, content):
    with pytest.raises(UserError, match=f"^{tmp_path} holds no run"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=f"^{tmp_path / 'config.json'} is damaged"):
        read_run(tmp_path)


def test_a_table_is_replaced_whole_or_not_at_all_and_complete_after_every_row(tmp_path, monkeypatch):
    path, rows = tmp_path / "table.csv", [[1, 0.1 + 0.2, 'say "a,b"'], [2, 1e-300, ""]]
    path.write_text("old")
    run_folder.write_csv(path, [["epoch", "loss", "name"], rows[0]])
    for count in (1, 2):
        with path.open(newline="") as file:
            names, *found = csv.reader(file)
        assert names == ["epoch", "loss", "name"]
        assert [[int(epoch), float(loss), name] for epoch, loss, name in found] == rows[:count]
        run_folder.append_csv(path, rows[1])

    def fail(*_):
        raise OSError(errno.ENOSPC, "disk full")

    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=f"disk full: '{path}'"):
        run_folder.replace(path, b"newest")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])
