"""Stage one from end to end: what is in the run folder, and what is done about bad rows."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from run_folders import edit, table
from safetensors.torch import load_file

from extract.run import extract, resolve
from extract.spaces.checkpoint import read_checkpoint
from features.hdf5_store import read_attributes, read_features
from runtime import atomic_files as files
from runtime.errors import UserError

# What is in the run folder


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


def test_the_run_records_what_it_was_made_from(tiny_run, tiny_config, tiny_weights):
    attributes = read_attributes(tiny_run / "features.h5")
    assert attributes["config"]["epochs"] == 2
    assert attributes["config"]["weights"] == "hub"
    assert (attributes["id_column"], attributes["label_column"]) == ("id", "label")
    spaces = read_features(tiny_run / "features.h5").spaces
    for space in spaces:
        assert space.image.shape == (240, 256)
        assert space.attributes["image"]["name"] == str(tiny_weights / "image")
        assert read_checkpoint(tiny_run / "backbones" / space.name).stamp == attributes["stamp"]
    assert [space.text.shape[1] for space in spaces] == [32, 32, 32, 128]
    for space in spaces[:2]:
        assert len(space.attributes["history"]) <= 2
        assert sum(epoch["best"] for epoch in space.attributes["history"]) == 1
    assert json.loads((tiny_run / "config.json").read_text())["data"] == tiny_config.data


def test_two_runs_give_the_same_bytes(tiny_config, tiny_run, tmp_path):
    again = extract(tiny_config, tmp_path / "again")
    assert again == tmp_path / "again" / "features.h5"
    assert again.read_bytes() == (tiny_run / "features.h5").read_bytes()
    assert not list(again.parent.rglob("*.partial"))
    assert not (again.parent / "unfinished").exists()


def test_data_json_tells_of_the_data_and_of_how_the_spaces_were_made(tiny_run):
    facts = json.loads((tiny_run / "data.json").read_text())
    attributes = read_attributes(tiny_run / "features.h5")
    assert facts["stamp"] == attributes["stamp"]
    assert {split: part["rows"] for split, part in facts["splits"].items()} == {
        "train": 168, "val": 24, "test": 48
    }  # fmt: skip
    assert list(facts["seconds"]) == ["space_0", "space_1", "pretrained", "lexical"]
    assert facts["seconds"]["space_0"] > 0
    assert torch.__version__.startswith(facts["versions"]["torch"])
    assert "cpu" in facts["device"]
    assert any("captions were cut to 32 tokens" in remark for remark in facts["remarks"])


def test_memes_jsonl_shows_every_row_of_features_h5_in_its_order(tiny_run, tiny_sample):
    lines = (tiny_run / "memes.jsonl").read_text(encoding="utf-8").splitlines()
    memes = pd.DataFrame([json.loads(line) for line in lines])
    rows = read_features(tiny_run / "features.h5").rows
    assert memes["id"].tolist() == rows.id.tolist()
    assert memes["split"].tolist() == rows.split.tolist()
    wanted = pd.concat([table(tiny_sample, split) for split in ("train", "val", "test")])
    assert memes["caption"].tolist() == wanted["text"].tolist()
    assert memes["image"].tolist() == [str(tiny_sample.resolve() / path) for path in wanted["img"]]


def test_near_duplicates_csv_lists_the_groups_of_features_h5(tiny_run):
    listed = pd.read_csv(tiny_run / "near_duplicates.csv", dtype={"id": str})
    rows = read_features(tiny_run / "features.h5").rows
    wanted = pd.Series(rows.group, rows.id).sort_values()
    wanted = wanted[wanted.duplicated(keep=False)]
    assert listed.groupby("group")["id"].apply(set).to_dict() == {
        group: set(ids) for group, ids in wanted.groupby(wanted).groups.items()
    }
    assert listed["group"].is_monotonic_increasing


@pytest.mark.usefixtures("trained")
def test_a_file_system_without_hard_links_is_no_stumbling_block(tiny_config, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    extract(tiny_config, tmp_path / "run")
    found = load_file(tmp_path / "run/backbones/pretrained/image/model.safetensors")
    wanted = load_file(f"{tiny_config.image_weights}/model.safetensors")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.usefixtures("trained")
def test_captions_of_all_scripts_and_quotes_are_readable_in_memes_jsonl(
    tiny_config, data, tmp_path
):
    edit(data, "test", 3, "text", 'ü "早" 😀\nnext')
    extract(replace(tiny_config, data=str(data)), tmp_path / "run")
    lines = (tmp_path / "run/memes.jsonl").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 241 and lines[240] == ""
    assert "早" in lines[195]
    assert json.loads(lines[195])["caption"] == 'ü "早" 😀\nnext'


def test_more_folds_than_the_groups_allow_are_refused_before_anything_is_trained(
    tiny_config, tmp_path, trained
):
    with pytest.raises(UserError, match=r"^fold \d+: .*--folds"):
        extract(replace(tiny_config, folds=24), tmp_path / "run")
    assert not trained
    assert not (tmp_path / "run").exists()


def test_the_sample_is_the_default_and_takes_bundled_weights(tiny_config):
    sample = replace(tiny_config, data=None)
    assert resolve(sample).weights == "bundled"
    assert resolve(tiny_config).weights == "hub"
    assert resolve(replace(sample, weights="hub")).weights == "hub"


# Bad rows


def test_a_bad_row_stops_before_anything_is_written(tiny_config, data, tmp_path):
    (data / table(data, "test")["img"][5]).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"test\.csv:7: image .* cannot be decoded"):
        extract(replace(tiny_config, data=str(data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("trained")
def test_blanking_keeps_every_test_id_and_leaves_bad_train_rows_out(tiny_config, data, tmp_path):
    train, test = table(data, "train"), table(data, "test")
    alone = train["img"][train["text"].map(train["text"].value_counts()) == 1].iloc[0]
    (data / alone).write_bytes(b"")
    (data / test["img"][5]).write_bytes(b"no picture")
    (data / test["img"][9]).unlink()
    edit(data, "test", 7, "text", " ")
    config = replace(tiny_config, data=str(data), on_bad_rows="blank")
    features = read_features(extract(config, tmp_path / "run"))
    rows = features.rows
    here = rows.split == "test"
    assert rows.id[here].tolist() == test["id"].tolist()
    left = train["id"][train["img"] != alone].tolist()
    assert rows.id[rows.split == "train"].tolist() == left
    for space in features.spaces:
        grey = space.image[here][[5, 9]]
        assert np.array_equal(grey[0], grey[1])
    assert not features.spaces[3].text[here][7].any()
    remarks = json.loads((tmp_path / "run/data.json").read_text())["remarks"]
    assert sum(remark.startswith("blanked or left out: ") for remark in remarks) == 4
    memes = pd.read_json(tmp_path / "run/memes.jsonl", lines=True)
    assert np.flatnonzero(memes["image"][here] == "").tolist() == [5, 9]


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


def test_the_towers_saved_are_fine_tuned_or_as_they_came(tiny_run, tiny_weights):
    for tower in ("image", "text"):
        names = ["space_0", "space_1", "pretrained"]
        folders = [tiny_weights, *(tiny_run / "backbones" / name for name in names)]
        came, *saved = (load_file(folder / tower / "model.safetensors") for folder in folders)
        same = [all(torch.equal(came[name], found[name]) for name in came) for found in saved]
        assert same == [False, False, True]
