"""Stage one from end to end: what is in features.h5, and when it is made anew."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from extract import stage
from extract.checkpoint import read_checkpoint
from extract.groups import plan_holdout
from extract.stage import extract, resolve
from features.errors import UserError
from features.store import read_attributes, read_features


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(tiny_run, tmp_path / "copied")


@pytest.fixture
def data(tiny_sample, tmp_path):
    """A copy of the sample, to be changed."""
    return shutil.copytree(tiny_sample, tmp_path / "data")


def table(folder, split):
    return pd.read_csv(folder / f"{split}.csv", dtype={"id": str})


def edit(folder, split, row, column, value):
    rows = table(folder, split)
    rows.loc[row, column] = value
    rows.to_csv(folder / f"{split}.csv", index=False)


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in files
    }


# What is in the file


def test_every_row_of_every_split_is_there_with_its_id_and_label(tiny_run, tiny_sample):
    rows = read_features(tiny_run / "features.h5").rows
    for split in ("train", "val", "test"):
        wanted = table(tiny_sample, split)
        here = rows.split == split
        assert rows.id[here].tolist() == wanted["id"].tolist()
        assert rows.label[here].tolist() == wanted["label"].tolist()
    asked = pd.read_csv(tiny_sample / "sample_submission.csv", dtype={"id": str})["id"]
    test = rows.split == "test"
    assert rows.id[test][np.argsort(rows.order[test])].tolist() == asked.tolist()
    assert set(rows.order[~test]) == {-1}


def test_memes_with_one_caption_or_one_picture_share_a_group(tiny_run, tiny_sample):
    rows = read_features(tiny_run / "features.h5").rows
    group = dict(zip(rows.id, rows.group, strict=True))
    for split in ("train", "val", "test"):
        memes = table(tiny_sample, split)
        memes["picture"] = [(tiny_sample / path).read_bytes() for path in memes["img"]]
        for same in ("text", "picture"):
            for _, ids in memes.groupby(same)["id"]:
                assert len({group[key] for key in ids}) == 1
    assert len(set(rows.group)) > 60


def test_seen_rows_are_exactly_those_that_the_plan_fits_on(tiny_run):
    features = read_features(tiny_run / "features.h5")
    rows, space = features.rows, features.spaces[0]
    plan = plan_holdout(rows.label, rows.group, rows.fold, seed=0)
    assert np.array_equal(space.seen, plan.fitted)
    assert np.array_equal(space.monitored, plan.monitored)
    assert set(rows.split[space.seen | space.monitored]) == {"train"}
    assert (rows.fold[rows.split == "val"] == 0).all()
    assert space.seen.sum() > 100


def test_the_run_records_what_it_was_made_from(tiny_run, tiny_config, tiny_weights):
    attributes = read_attributes(tiny_run / "features.h5")
    assert attributes["config"]["epochs"] == 2
    assert attributes["config"]["weights"] == "hub"
    assert (attributes["id_column"], attributes["label_column"]) == ("id", "label")
    space = read_features(tiny_run / "features.h5").spaces[0]
    assert space.image.shape == (240, 256)
    assert space.text.shape == (240, 32)
    assert space.attributes["image"]["name"] == str(tiny_weights / "image")
    assert len(space.attributes["history"]) <= 2
    assert sum(epoch["best"] for epoch in space.attributes["history"]) == 1
    assert read_checkpoint(tiny_run / "backbones/space_0").stamp == attributes["stamp"]
    assert json.loads((tiny_run / "config.json").read_text())["data"] == tiny_config.data


def test_two_runs_give_the_same_bytes(tiny_config, tiny_run, tmp_path):
    again = extract(tiny_config, tmp_path / "again")
    assert again == tmp_path / "again" / "features.h5"
    assert again.read_bytes() == (tiny_run / "features.h5").read_bytes()
    assert not list(again.parent.rglob("*.partial"))


def test_the_sample_is_the_default_and_takes_bundled_weights(tiny_config):
    sample = replace(tiny_config, data=None)
    assert resolve(sample).weights == "bundled"
    assert resolve(tiny_config).weights == "hub"
    assert resolve(replace(sample, weights="hub")).weights == "hub"


# When it is made anew


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


def test_force_replaces_features_and_backbones_together(run, tiny_config):
    before = contents(run)
    extract(replace(tiny_config, epochs=1), run, force=True)
    attributes = read_attributes(run / "features.h5")
    assert attributes["config"]["epochs"] == 1
    assert read_checkpoint(run / "backbones/space_0").stamp == attributes["stamp"]
    assert json.loads((run / "config.json").read_text())["epochs"] == 1
    assert contents(run).keys() == before.keys()


def test_a_dump_that_breaks_off_leaves_the_older_run_whole(run, tiny_config, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = contents(run)
    monkeypatch.setattr(stage, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(replace(tiny_config, epochs=1), run, force=True)
    assert contents(run) == before


# Bad rows


def test_a_bad_row_stops_before_anything_is_written(tiny_config, data, tmp_path):
    (data / table(data, "test")["img"][5]).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"test\.csv:7: image .* cannot be decoded"):
        extract(replace(tiny_config, data=str(data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_blanking_keeps_every_test_id_and_leaves_bad_train_rows_out(tiny_config, data, tmp_path):
    train, test = table(data, "train"), table(data, "test")
    alone = train["img"][train["text"].map(train["text"].value_counts()) == 1].iloc[0]
    (data / alone).write_bytes(b"")
    (data / test["img"][5]).write_bytes(b"no picture")
    (data / test["img"][9]).unlink()
    edit(data, "test", 7, "text", " ")
    config = replace(tiny_config, data=str(data), on_bad_rows="blank", epochs=1)
    features = read_features(extract(config, tmp_path / "run"))
    rows, space = features.rows, features.spaces[0]
    here = rows.split == "test"
    assert rows.id[here].tolist() == test["id"].tolist()
    left = train["id"][train["img"] != alone].tolist()
    assert rows.id[rows.split == "train"].tolist() == left
    assert np.isfinite(space.joint_logit).all()
    grey = space.image[here][[5, 9]]
    assert np.array_equal(grey[0], grey[1])


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [("device", "gpu", "--device gpu"), ("image_weights", "nowhere", "--image-weights: nowhere")],
)
def test_what_cannot_be_had_is_refused_before_anything_is_written(
    tiny_config, tmp_path, setting, value, words
):
    with pytest.raises(UserError, match=words):
        extract(replace(tiny_config, **{setting: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_model_that_is_saved_is_the_fine_tuned_one(tiny_run, tiny_weights):
    for tower in ("image", "text"):
        before, after = (
            load_file(folder / tower / "model.safetensors")
            for folder in (tiny_weights, tiny_run / "backbones/space_0")
        )
        assert before.keys() == after.keys()
        assert any(not torch.equal(before[name], after[name]) for name in before)
