import csv
import json
import os
import re
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime

import pytest
from filelock import FileLock, Timeout

from d2l_softmax import UserError
from d2l_softmax.record.files import CsvFile, replace
from d2l_softmax.record.run_folder import create_run_folder, locked, read_config, write_config

CONFIG = {
    "settings": {"lr": 0.1},
    "data": {"name": "靴", "sha256": "0", "height": 8, "width": 6, "max_value": 255, "classes": ["a", "ü"]},
}


def _create(logdir):
    return create_run_folder(logdir, "digits-scratch").name


def test_runs_started_at_once_get_folders_of_their_own(tmp_path):
    before = datetime.now().replace(microsecond=0)
    with ProcessPoolExecutor(4) as pool:
        names = list(pool.map(_create, [tmp_path] * 40))
    assert len(set(names)) == 40
    for name in names:
        time = re.fullmatch(r"digits-scratch-(\d{8}-\d{6})(-\d+)?", name)[1]
        assert before <= datetime.strptime(time, "%Y%m%d-%H%M%S") <= datetime.now()


def test_a_name_is_used_exactly_and_refused_when_taken(tmp_path):
    folder = create_run_folder(tmp_path, "digits-scratch", "my/run")
    assert folder == create_run_folder(tmp_path, "digits-scratch", "my/run") == tmp_path / "my" / "run"
    write_config(folder, CONFIG | {"command": [os.fsdecode(b"\xff")]})
    with pytest.raises(UserError, match="run already holds a run"):
        create_run_folder(tmp_path, "digits-scratch", "my/run")
    assert read_config(folder) == CONFIG | {"command": [os.fsdecode(b"\xff")]}


def test_odd_characters_of_a_data_sets_name_do_not_reach_the_folders(tmp_path):
    folder = create_run_folder(tmp_path, "my data/ü-scratch")
    assert folder.parent == tmp_path
    assert folder.name.startswith("my_data_ü-scratch-")


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in (None, "name"):
        with pytest.raises(UserError, match="--logdir"):
            create_run_folder(tmp_path / "file", "digits-scratch", name)
    with pytest.raises(UserError, match="cannot write"), locked(tmp_path / "file"):
        pass


def test_a_folder_is_locked_for_other_processes_until_it_is_released(tmp_path):
    other, own = FileLock(tmp_path / ".lock", timeout=0), FileLock(tmp_path / ".lock", is_singleton=True)
    with other, pytest.raises(UserError, match="still being written"), locked(tmp_path):
        pass
    with locked(tmp_path):
        with locked(tmp_path):  # this process may lock it twice
            pass
        with pytest.raises(Timeout):
            other.acquire()
    assert not own.is_locked
    other.acquire()


DAMAGE = {
    "cut short": json.dumps(CONFIG)[:-5].encode(),
    "text": b"a shoe",
    "a list": b"[]",
    "not UTF-8": b"\x80\xff",
    "nested without end": b"[" * 10**5,
    "no data": json.dumps({"settings": {}}).encode(),
} | {
    f"{name} of {value!r}": json.dumps(CONFIG | {"data": CONFIG["data"] | {name: value}}).encode()
    for name, value in [
        *(("height", "4"), ("height", 0), ("width", -1), ("width", True), ("max_value", 256), ("max_value", 1.5)),
        *(("classes", None), ("classes", []), ("classes", ["a", "b", "a"]), ("classes", [1, 2, 3])),
        *(("classes", ["a", "\x1b[2J"]), ("name", 5), ("sha256", None)),
    ]
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_config_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "config.json").write_bytes(DAMAGE[name])
    with pytest.raises(UserError, match="is damaged or of another version") as error:
        read_config(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)


def test_a_folder_without_a_config_holds_no_run(tmp_path):
    with pytest.raises(UserError, match="holds no run: cannot read"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UserError, match=r"holds no run: .* is not a file"):
        read_config(tmp_path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        replace(path, content)
        assert path.read_bytes() == content

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        replace(path, b"newest")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_is_complete_after_every_row(tmp_path):
    path, rows = tmp_path / "table.csv", [[1, 0.1 + 0.2, 'say "a,b"'], [2, 1e-300, ""]]
    table = CsvFile(path, ["epoch", "loss", "name"], rows[:1])
    for count in (1, 2):
        with path.open(newline="") as file:
            names, *found = csv.reader(file)
        assert names == ["epoch", "loss", "name"]
        assert [[int(epoch), float(loss), name] for epoch, loss, name in found] == rows[:count]
        table.add(rows[1])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        table.add(rows[1])
