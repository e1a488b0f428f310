"""`status` reports which steps of stage one are done, begun, stale or missing."""

import shutil
from dataclasses import replace

import pytest
from PIL import Image

from extract.config import CONFIG, ExtractConfig
from extract.run import extract
from extract.status import steps_of_stage_one
from extract.training import resume_training, training_loop
from runtime.config_fields import to_dict
from runtime.files.json_files import read_json, write_json


def states(run):
    return {step.name: step.state for step in steps_of_stage_one(run)}


@pytest.fixture(scope="module")
def finished(tiny_config, tiny_sample, tmp_path_factory):
    """Return a folder with a finished run and its data. Copy it before changing a file."""
    folder = tmp_path_factory.mktemp("status")
    data = shutil.copytree(tiny_sample, folder / "data")
    extract(replace(tiny_config, data=str(data), folds=1, epochs=1), folder / "run")
    return folder


@pytest.fixture
def run_and_data(finished, tmp_path):
    """Return (run, data) to change. The run's config.json has the new path of the data."""
    folder = shutil.copytree(finished, tmp_path / "copy")
    config = folder / "run" / "config.json"
    write_json(config, {**read_json(config, "extract"), "data": str(folder / "data")})
    return folder / "run", folder / "data"


def test_new_run_is_missing(tmp_path):
    assert states(tmp_path / "run") == {"features.h5": "missing"}


def test_finished_run_is_done(run_and_data):
    assert states(run_and_data[0]) == {"data": "done", "backbones": "done", "features.h5": "done"}


def test_command_that_resumes_can_be_pasted_into_a_shell(tmp_path):
    config = ExtractConfig(data="my memes", positive="1;2")
    write_json(tmp_path / "unfinished" / "stamp" / CONFIG, to_dict(config))
    steps = {step.name: step for step in steps_of_stage_one(tmp_path)}
    assert steps["features.h5"].detail.endswith("--data 'my memes' --positive '1;2'")


@pytest.mark.parametrize("edited", ["caption", "picture", "test row deleted"])
def test_edited_data_are_stale(run_and_data, edited):
    run, data = run_and_data
    table = data / "test.csv"
    if edited == "caption":
        table.write_text(table.read_text().replace(" a ", " the ", 1))
    elif edited == "picture":
        path = next((data / "img").iterdir())
        with Image.open(path) as picture:
            changed = picture.copy()
        changed.putpixel((0, 0), (1, 2, 3))
        changed.save(path)
    else:
        table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
        (data / "sample_submission.csv").unlink()
    found = {step.name: step for step in steps_of_stage_one(run)}
    assert found["data"].state == "stale"
    assert "other rows, captions, labels or pictures" in found["data"].detail


def test_deleted_data_are_reported(run_and_data):
    run, data = run_and_data
    shutil.rmtree(data)
    detail = {step.name: step.detail for step in steps_of_stage_one(run)}["data"]
    assert "can no longer be read" in detail and "does not exist" in detail


def test_missing_backbones_and_damaged_features_are_stale(run_and_data):
    run, _ = run_and_data
    shutil.rmtree(run / "backbones" / "lexical")
    assert states(run)["backbones"] == "stale"
    (run / "features.h5").write_bytes(b"half")
    assert states(run) == {"features.h5": "stale"}


def test_interrupted_extraction_reports_the_state_of_each_space(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(resume_training, "MAX_SAVE_TIME_SHARE", 1e9)
    log_epoch, run = training_loop._log_epoch, tmp_path / "run"
    epochs = []

    def interrupt(epoch):
        log_epoch(epoch)
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(training_loop, "_log_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract(tiny_config, run)
    steps = {step.name: step for step in steps_of_stage_one(run)}
    expected = {"space_0": "done", "space_1": "begun", "pretrained": "missing"}
    assert {name: steps[name].state for name in expected} == expected
    assert steps["space_1"].detail == "trained for 1 of up to 2 epochs"
    assert steps["features.h5"].state == "missing"
