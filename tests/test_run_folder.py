import csv
import json
from concurrent.futures import ProcessPoolExecutor

import pytest

from d2l_softmax import UserError
from d2l_softmax.run_folder import MetricsFile, create_run_folder, write_config
from d2l_softmax.training import EpochResult


def _create(logdir):
    return str(create_run_folder(logdir, "digits-scratch"))


def test_runs_started_at_once_get_folders_of_their_own(tmp_path):
    with ProcessPoolExecutor(4) as pool:
        folders = list(pool.map(_create, [tmp_path] * 40))
    assert len(set(folders)) == 40


def test_a_name_is_used_exactly_and_refused_when_taken(tmp_path):
    folder = create_run_folder(tmp_path, "digits-scratch", "mine")
    assert folder == tmp_path / "mine"
    write_config(folder, {"a": 1})
    with pytest.raises(UserError, match="mine already holds a run"):
        create_run_folder(tmp_path, "digits-scratch", "mine")
    assert json.loads((folder / "config.json").read_text()) == {"a": 1}


def test_odd_characters_of_a_data_sets_name_do_not_reach_the_folders(tmp_path):
    folder = create_run_folder(tmp_path, "my data/ü-scratch")
    assert folder.parent == tmp_path
    assert folder.name.startswith("my_data_ü-scratch-")


def test_an_unwritable_place_is_the_users_to_mend(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--logdir"):
        create_run_folder(tmp_path / "file", "digits-scratch")


@pytest.mark.parametrize("validation", [False, True])
def test_metrics_are_complete_after_every_epoch(tmp_path, validation):
    metrics = MetricsFile(tmp_path, validation)
    result = EpochResult(1, 0.1 + 0.2, 0.5, 0.7, 0.25, 1.5, *((0.6, 0.75) if validation else ()))
    metrics(result)
    with (tmp_path / "metrics.csv").open() as file:
        names, row = csv.reader(file)
    assert names[:6] == ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
    assert names[6:] == (["validation_loss", "validation_accuracy"] if validation else [])
    assert [float(cell) for cell in row] == [value for value in result if value is not None]
