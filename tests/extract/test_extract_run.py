"""Stage one from end to end: the files of a run, and the handling of bad rows."""

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
from runtime.errors import UserError
from runtime.files import atomic_files as files

# Files of a run


def test_features_h5_has_every_row_with_id_label_and_order(tiny_run, tiny_sample):
    rows = read_features(tiny_run / "features.h5").rows
    for split in ("train", "val", "test"):
        expected = table(tiny_sample, split)
        in_split = rows.split == split
        assert rows.id[in_split].tolist() == expected["id"].tolist()
        assert rows.label[in_split].tolist() == expected["label"].tolist()
    requested = pd.read_csv(tiny_sample / "sample_submission.csv", dtype={"id": str})["id"]
    test = rows.split == "test"
    assert rows.id[test][np.argsort(rows.order[test])].tolist() == requested.tolist()
    assert set(rows.order[~test]) == {-1}


def test_memes_with_the_same_caption_or_picture_share_a_group(tiny_run, tiny_sample):
    rows = read_features(tiny_run / "features.h5").rows
    group = dict(zip(rows.id, rows.group, strict=True))
    for split in ("train", "val", "test"):
        memes = table(tiny_sample, split)
        memes["picture"] = [(tiny_sample / path).read_bytes() for path in memes["img"]]
        for same in ("text", "picture"):
            for _, ids in memes.groupby(same)["id"]:
                assert len({group[key] for key in ids}) == 1
    assert len(set(rows.group)) > 60


def test_run_records_settings_and_weights(tiny_run, tiny_config, tiny_weights):
    attributes = read_attributes(tiny_run / "features.h5")
    assert attributes["config"]["epochs"] == 2
    assert attributes["config"]["weights"] == "hub"
    assert (attributes["id_column"], attributes["label_column"]) == ("id", "label")
    spaces = read_features(tiny_run / "features.h5").spaces
    for space in spaces:
        assert space.image.shape == (160, 256)
        assert space.attributes["image"]["name"] == str(tiny_weights / "image")
        assert read_checkpoint(tiny_run / "backbones" / space.name).stamp == attributes["stamp"]
    assert [space.text.shape[1] for space in spaces] == [96, 96, 96, 127]
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


def test_data_json_has_counts_times_and_versions(tiny_run):
    summary = json.loads((tiny_run / "data.json").read_text())
    attributes = read_attributes(tiny_run / "features.h5")
    assert summary["stamp"] == attributes["stamp"]
    assert {split: part["rows"] for split, part in summary["splits"].items()} == {
        "train": 112, "val": 16, "test": 32
    }  # fmt: skip
    assert list(summary["seconds"]) == ["space_0", "space_1", "pretrained", "lexical"]
    assert summary["seconds"]["space_0"] > 0
    assert torch.__version__.startswith(summary["versions"]["torch"])
    assert "cpu" in summary["device"]
    assert any("captions were truncated to 32 tokens" in remark for remark in summary["remarks"])


def test_memes_jsonl_has_the_rows_of_features_h5_in_order(tiny_run, tiny_sample):
    lines = (tiny_run / "memes.jsonl").read_text(encoding="utf-8").splitlines()
    memes = pd.DataFrame([json.loads(line) for line in lines])
    rows = read_features(tiny_run / "features.h5").rows
    assert memes["id"].tolist() == rows.id.tolist()
    assert memes["split"].tolist() == rows.split.tolist()
    expected = pd.concat([table(tiny_sample, split) for split in ("train", "val", "test")])
    assert memes["caption"].tolist() == expected["text"].tolist()
    assert memes["image"].tolist() == [
        str(tiny_sample.resolve() / path) for path in expected["img"]
    ]


def test_near_duplicates_csv_has_the_groups_of_features_h5(tiny_run):
    listed = pd.read_csv(tiny_run / "near_duplicates.csv", dtype={"id": str})
    rows = read_features(tiny_run / "features.h5").rows
    expected = pd.Series(rows.group, rows.id).sort_values()
    expected = expected[expected.duplicated(keep=False)]
    assert listed.groupby("group")["id"].apply(set).to_dict() == {
        group: set(ids) for group, ids in expected.groupby(expected).groups.items()
    }
    assert listed["group"].is_monotonic_increasing


@pytest.mark.usefixtures("fake_training")
def test_extract_works_without_hard_links(tiny_config, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    extract(tiny_config, tmp_path / "run")
    found = load_file(tmp_path / "run/backbones/pretrained/image/model.safetensors")
    expected = load_file(f"{tiny_config.image_weights}/model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.usefixtures("fake_training")
def test_unicode_and_quotes_in_captions_are_valid_in_memes_jsonl(tiny_config, data, tmp_path):
    edit(data, "test", 3, "text", 'ü "早" 😀\nnext')
    extract(replace(tiny_config, data=str(data)), tmp_path / "run")
    lines = (tmp_path / "run/memes.jsonl").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 161 and lines[160] == ""
    assert "早" in lines[131]
    assert json.loads(lines[131])["caption"] == 'ü "早" 😀\nnext'


def test_too_many_folds_are_rejected_before_training(tiny_config, tmp_path, fake_training):
    with pytest.raises(UserError, match=r"^fold \d+: .*--folds"):
        extract(replace(tiny_config, folds=24), tmp_path / "run")
    assert not fake_training
    assert not (tmp_path / "run").exists()


def test_bundled_weights_are_the_default_only_for_the_sample(tiny_config):
    sample = replace(tiny_config, data=None)
    assert resolve(sample).weights == "bundled"
    assert resolve(tiny_config).weights == "hub"
    assert resolve(replace(sample, weights="hub")).weights == "hub"


# Bad rows


def test_bad_row_stops_before_any_file_is_written(tiny_config, data, tmp_path):
    (data / table(data, "test")["img"][5]).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"test\.csv:7: image .* cannot be decoded"):
        extract(replace(tiny_config, data=str(data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("fake_training")
def test_blank_mode_retains_every_test_id_and_leaves_out_bad_train_rows(
    tiny_config, data, tmp_path
):
    train, test = table(data, "train"), table(data, "test")
    unique_picture = train["img"][train["text"].map(train["text"].value_counts()) == 1].iloc[0]
    (data / unique_picture).write_bytes(b"")
    (data / test["img"][5]).write_bytes(b"no picture")
    (data / test["img"][9]).unlink()
    edit(data, "test", 7, "text", " ")
    config = replace(tiny_config, data=str(data), on_bad_rows="blank")
    features = read_features(extract(config, tmp_path / "run"))
    rows = features.rows
    in_split = rows.split == "test"
    assert rows.id[in_split].tolist() == test["id"].tolist()
    left = train["id"][train["img"] != unique_picture].tolist()
    assert rows.id[rows.split == "train"].tolist() == left
    for space in features.spaces:
        grey = space.image[in_split][[5, 9]]
        assert np.array_equal(grey[0], grey[1])
    assert not features.spaces[3].text[in_split][7].any()
    remarks = json.loads((tmp_path / "run/data.json").read_text())["remarks"]
    assert sum(remark.startswith("blanked or left out: ") for remark in remarks) == 3
    memes = pd.read_json(tmp_path / "run/memes.jsonl", lines=True)
    assert np.flatnonzero(memes["image"][in_split] == "").tolist() == [5, 9]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [("device", "gpu", "--device gpu"), ("image_weights", "nowhere", '--image-weights: "nowhere"')],
)
def test_unavailable_device_or_weights_are_rejected_before_any_file_is_written(
    tiny_config, tmp_path, setting, value, message
):
    with pytest.raises(UserError, match=message):
        extract(replace(tiny_config, **{setting: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_saved_towers_are_fine_tuned_except_in_pretrained(tiny_run, tiny_weights):
    for tower in ("image", "text"):
        names = ["space_0", "space_1", "pretrained"]
        folders = [tiny_weights, *(tiny_run / "backbones" / name for name in names)]
        original, *saved = (load_file(folder / tower / "model.safetensors") for folder in folders)
        same = [
            all(torch.equal(original[name], found[name]) for name in original) for found in saved
        ]
        assert same == [False, False, True]
