"""When a finished run is kept, when it is refused, and when it is made anew."""

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


def test_the_same_again_touches_nothing_and_says_so(run, tiny_config, capsys):
    before = contents(run)
    assert extract(tiny_config, run) == run / "features.h5"
    assert contents(run) == before
    assert "up to date" in capsys.readouterr().err


def test_the_same_data_in_another_folder_is_the_same(run, tiny_config, data):
    before = contents(run)
    extract(replace(tiny_config, data=str(data)), run)
    assert contents(run) == before


def test_other_settings_are_refused_and_named(run, tiny_config):
    before = contents(run)
    with pytest.raises(UserError) as error:
        extract(replace(tiny_config, epochs=3, fusion="mlp"), run)
    for words in ("--epochs: was 2, now 3", "--fusion: was interaction, now mlp", "--force"):
        assert words in str(error.value)
    assert "the data" not in str(error.value).split("Name another")[0].split("\n", 1)[1]
    assert contents(run) == before


@pytest.mark.parametrize(
    ("split", "column", "value"),
    [("train", "text", "other words"), ("test", "id", "99999"), ("val", "label", None)],
)
def test_edited_data_is_refused_and_named(run, tiny_config, data, split, column, value):
    if column == "label":
        value = 1 - table(data, split).loc[0, "label"]
    edit(data, split, 0, column, value)
    (data / "sample_submission.csv").unlink()
    with pytest.raises(UserError, match="the data: other rows, captions, labels or pictures"):
        extract(replace(tiny_config, data=str(data)), run)


def test_an_edited_picture_is_refused_and_named(run, tiny_config, data):
    one, other = table(data, "train")["img"][:2]
    shutil.copy(data / other, data / one)
    with pytest.raises(UserError, match="the data"):
        extract(replace(tiny_config, data=str(data)), run)


def test_other_weights_in_the_same_folder_are_noticed(run, tiny_config, tiny_weights, tmp_path):
    path = tiny_weights / "text" / "model.safetensors"
    original = path.read_bytes()
    weights = {name: value * 1.5 for name, value in load_file(path).items()}
    try:
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(UserError, match="weights"):
            extract(tiny_config, run)
    finally:
        path.write_bytes(original)


@pytest.mark.usefixtures("trained")
def test_force_replaces_all_that_a_run_holds_together_and_drops_its_heads(run, tiny_config):
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


@pytest.mark.usefixtures("trained")
def test_a_space_that_the_new_run_has_not_goes_with_the_old_one(run, tiny_config):
    extract(replace(tiny_config, folds=1), run, force=True)
    names = {path.name for path in (run / "backbones").iterdir()}
    assert names == {"space_0", "pretrained", "lexical"}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("name", ["space_1", "lexical"])
def test_backbones_that_are_gone_are_made_anew_with_the_features(run, tiny_config, name, capsys):
    shutil.rmtree(run / "backbones" / name)
    before = (run / "features.h5").stat().st_mtime_ns
    extract(tiny_config, run)
    assert read_checkpoint(run / "backbones" / name)
    assert (run / "features.h5").stat().st_mtime_ns > before
    assert f"{name} does not hold what features.h5 was made with" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_a_dump_that_breaks_off_leaves_the_older_run_whole(run, tiny_config, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = contents(run)
    monkeypatch.setattr(dump_embeddings, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(tiny_config, epochs=1), run, force=True)
    shutil.rmtree(run / "unfinished")
    assert contents(run) == before
