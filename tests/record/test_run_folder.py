import errno
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from d2l_softmax.record.run_folder import create_run_folder, replace


def test_runs_started_at_once_get_folders_of_their_own(tmp_path):
    before = datetime.now().replace(microsecond=0)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(create_run_folder, [tmp_path / "runs"] * 40, ["my data/ü-scratch"] * 40))
    assert len(set(folders)) == 40
    for folder in folders:
        assert folder.parent == tmp_path / "runs"
        time = re.fullmatch(r"my_data_ü-scratch-(\d{8}-\d{6})(-\d+)?", folder.name)[1]
        assert before <= datetime.strptime(time, "%Y%m%d-%H%M%S") <= datetime.now()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "disk full")

    path = tmp_path / "table.csv"
    replace(path, b"old")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=f"disk full: '{path}'"):
        replace(path, b"newest")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])
