"""`status` says of each step of stage one whether it stands, and why not."""

import shutil
from dataclasses import replace

import pytest
from PIL import Image

from extract.run import extract
from extract.status import steps_of_stage_one
from extract.training import resume_training as training
from extract.training import training_loop as finetune
from runtime.json_files import read_json, write_json


def states(run):
    return {step.name: step.state for step in steps_of_stage_one(run)}


@pytest.fixture(scope="module")
def finished(tiny_config, tiny_sample, tmp_path_factory):
    """A finished run and its own copy of the data. Copy both before changing anything."""
    folder = tmp_path_factory.mktemp("status")
    data = shutil.copytree(tiny_sample, folder / "data")
    extract(replace(tiny_config, data=str(data), folds=1, epochs=1), folder / "run")
    return folder


@pytest.fixture
def made(finished, tmp_path):
    """(run, data) to change; the run looks for its data where they are now."""
    folder = shutil.copytree(finished, tmp_path / "made")
    config = folder / "run" / "config.json"
    write_json(config, {**read_json(config, "extract"), "data": str(folder / "data")})
    return folder / "run", folder / "data"


def test_a_run_that_nobody_began_is_missing(tmp_path):
    assert states(tmp_path / "run") == {"features.h5": "missing"}


def test_a_finished_run_stands(made):
    assert states(made[0]) == {"data": "done", "backbones": "done", "features.h5": "done"}


@pytest.mark.parametrize("edited", ["caption", "picture", "test row gone"])
def test_edited_data_make_it_stale(made, edited):
    run, data = made
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


def test_data_that_are_gone_are_said_to_be(made):
    run, data = made
    shutil.rmtree(data)
    about = {step.name: step.detail for step in steps_of_stage_one(run)}["data"]
    assert "can no longer be read" in about and "does not exist" in about


def test_lost_backbones_and_damaged_features_are_stale(made):
    run, _ = made
    shutil.rmtree(run / "backbones" / "lexical")
    assert states(run)["backbones"] == "stale"
    (run / "features.h5").write_bytes(b"half")
    assert states(run) == {"features.h5": "stale"}


def test_an_extraction_that_was_broken_off_shows_how_far_it_came(
    tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "MAX_SAVE_TIME_SHARE", 1e9)
    announce, run = finetune._log_epoch, tmp_path / "run"
    epochs = []

    def stop(epoch):
        announce(epoch)
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(finetune, "_log_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        extract(tiny_config, run)
    steps = {step.name: step for step in steps_of_stage_one(run)}
    expected = {"space_0": "done", "space_1": "begun", "pretrained": "missing"}
    assert {name: steps[name].state for name in expected} == expected
    assert steps["space_1"].detail == "trained for 1 of up to 2 epochs"
    assert steps["features.h5"].state == "missing"
