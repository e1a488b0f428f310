"""Running extract again: when a finished run is reused, rejected or replaced."""

import json
import shutil
from dataclasses import replace

import pytest
from run_folders import contents, edit, table
from safetensors.torch import load_file, save_file

from extract.run import extract
from extract.spaces import dump_embeddings
from extract.spaces.checkpoint import read_checkpoint
from features.hdf5_store import read_attributes, read_space_names
from runtime.errors import UserError


def test_same_settings_and_data_change_no_file(run, tiny_config, capsys):
    before = contents(run)
    assert extract(tiny_config, run) == run / "features.h5"
    assert contents(run) == before
    assert "up to date" in capsys.readouterr().err


def test_same_data_in_another_folder_change_no_file(run, tiny_config, data):
    before = contents(run)
    extract(replace(tiny_config, data=str(data)), run)
    assert contents(run) == before


def test_changed_settings_are_rejected_and_named(run, tiny_config):
    before = contents(run)
    with pytest.raises(UserError) as error:
        extract(replace(tiny_config, epochs=3, fusion="mlp"), run)
    for change in ("--epochs: was 2, now 3", "--fusion: was interaction, now mlp", "--force"):
        assert change in str(error.value)
    assert "the data" not in str(error.value).split("Name another")[0].split("\n", 1)[1]
    assert contents(run) == before


@pytest.mark.parametrize(
    ("split", "column", "value"),
    [("train", "text", "other words"), ("test", "id", "99999"), ("val", "label", None)],
)
def test_edited_data_are_rejected_and_named(run, tiny_config, data, split, column, value):
    if column == "label":
        value = 1 - table(data, split).loc[0, "label"]
    edit(data, split, 0, column, value)
    (data / "sample_submission.csv").unlink()
    with pytest.raises(UserError, match="the data: other rows, captions, labels or pictures"):
        extract(replace(tiny_config, data=str(data)), run)


def test_edited_picture_is_rejected_and_named(run, tiny_config, data):
    one, other = table(data, "train")["img"][:2]
    shutil.copy(data / other, data / one)
    with pytest.raises(UserError, match="the data"):
        extract(replace(tiny_config, data=str(data)), run)


def test_changed_weights_in_the_same_folder_are_rejected(run, tiny_config, tiny_weights, tmp_path):
    path = tiny_weights / "text" / "model.safetensors"
    original = path.read_bytes()
    weights = {name: value * 1.5 for name, value in load_file(path).items()}
    try:
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(UserError, match="weights"):
            extract(tiny_config, run)
    finally:
        path.write_bytes(original)


@pytest.mark.usefixtures("fake_training")
def test_force_replaces_all_files_of_a_run_and_removes_its_heads(run, tiny_config):
    before = contents(run)
    (run / "heads").mkdir()
    extract(replace(tiny_config, epochs=1), run, force=True)
    attributes = read_attributes(run / "features.h5")
    assert attributes["config"]["epochs"] == 1
    for name in read_space_names(run / "features.h5"):
        assert read_checkpoint(run / "backbones" / name).stamp == attributes["stamp"]
    assert json.loads((run / "data.json").read_text())["stamp"] == attributes["stamp"]
    assert json.loads((run / "config.json").read_text())["epochs"] == 1
    assert contents(run).keys() == before.keys()
    assert not (run / "heads").exists()


@pytest.mark.usefixtures("fake_training")
def test_force_removes_spaces_that_the_new_run_does_not_have(run, tiny_config):
    extract(replace(tiny_config, folds=1), run, force=True)
    names = {path.name for path in (run / "backbones").iterdir()}
    assert names == {"space_0", "pretrained", "lexical"}


@pytest.mark.usefixtures("fake_training")
@pytest.mark.parametrize("name", ["space_1", "lexical"])
def test_missing_backbones_are_created_again_with_features_h5(run, tiny_config, name, capsys):
    shutil.rmtree(run / "backbones" / name)
    before = (run / "features.h5").stat().st_mtime_ns
    extract(tiny_config, run)
    assert read_checkpoint(run / "backbones" / name)
    assert (run / "features.h5").stat().st_mtime_ns > before
    assert f"{name} does not hold the backbones of features.h5" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_training")
def test_interrupted_dump_does_not_change_the_old_run(run, tiny_config, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = contents(run)
    monkeypatch.setattr(dump_embeddings, "embed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(tiny_config, epochs=1), run, force=True)
    shutil.rmtree(run / "unfinished")
    assert contents(run) == before
