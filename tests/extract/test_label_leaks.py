"""Labels do not leak into held-out predictions, neither through near-duplicates nor otherwise."""

import shutil
import string
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from extract.folds.near_duplicates import Grouping
from extract.run import extract
from extract.spaces import fine_tuned, run_setup
from features.hdf5_store import read_features

SPELLINGS = ("{}", "{}!", "«{}»", "{} ...")
"""Four spellings of a caption. Their tokens differ, but their normalised text is the same."""


def auroc(features, fold, rows):
    space = features.spaces[fold]
    return roc_auc_score(features.rows.label[rows], space.joint_logit[rows])


def held_out_auroc(features):
    """Return the mean AUROC of the joint logits on the held-out folds."""
    labelled = features.rows.labelled
    return np.mean(
        [auroc(features, fold, labelled & features.spaces[fold].held_out) for fold in (0, 1)]
    )


@pytest.fixture(scope="module")
def random_label_data(tmp_path_factory):
    """Write memes with random labels: 36 captions in four spellings, which share a label."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("random_label_data")
    random_labels = rng.permutation(np.arange(36) % 2)
    memes = [
        (spelling.format(letter * 8), label)
        for letter, label in zip(string.ascii_lowercase + string.digits, random_labels, strict=True)
        for spelling in SPELLINGS
    ]
    for number in range(len(memes)):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"{number}.png")
    table = pd.DataFrame(memes, columns=["text", "label"]).rename_axis("id").reset_index()
    table["img"] = [f"{number}.png" for number in table["id"]]
    table.sample(frac=1, random_state=0).to_csv(folder / "train.csv", index=False)
    table[:2].assign(text="new words").drop(columns="label").to_csv(
        folder / "test.csv", index=False
    )
    return folder


@pytest.fixture
def memorising_config(tiny_config, random_label_data, monkeypatch):
    """Return settings with which the captions are memorised."""
    # The token embeddings of the tiny text tower are random, so they must be trained.
    monkeypatch.setattr(fine_tuned, "freeze_token_embeddings", lambda text: None)
    training = {"epochs": 3, "batch_size": 16, "lr_text": 3e-3, "precision": "fp32"}
    return replace(tiny_config, data=str(random_label_data), **training)


def test_memorised_near_duplicates_do_not_raise_held_out_auroc(memorising_config, tmp_path):
    features = read_features(extract(memorising_config, tmp_path / "run"))
    assert auroc(features, 0, features.spaces[0].seen) > 0.9
    # There are only eighteen random labels per fold, so chance level is a wide range.
    assert 0.2 < held_out_auroc(features) < 0.8


def test_without_groups_near_duplicates_leak_the_labels(memorising_config, tmp_path, monkeypatch):
    monkeypatch.setattr(
        run_setup, "group_near_duplicates", lambda table, _: Grouping(np.arange(len(table)), 0, 0)
    )
    assert held_out_auroc(read_features(extract(memorising_config, tmp_path / "run"))) > 0.9


def test_shuffled_labels_give_chance_level_and_do_not_change_unlabelled_spaces(
    tiny_config, tiny_run, tiny_sample, tmp_path
):
    data = shutil.copytree(tiny_sample, tmp_path / "data")
    for split in ("train", "val"):
        table = pd.read_csv(data / f"{split}.csv", dtype={"id": str})
        table["label"] = np.random.default_rng(0).permutation(table["label"])
        table.to_csv(data / f"{split}.csv", index=False)
    config = replace(tiny_config, data=str(data))
    shuffled = read_features(extract(config, tmp_path / "run"))
    features = read_features(tiny_run / "features.h5")
    assert (shuffled.rows.label != features.rows.label).sum() > 50
    assert 0.3 < held_out_auroc(shuffled) < 0.7
    for space, expected in zip(shuffled.spaces[2:], features.spaces[2:], strict=True):
        assert np.array_equal(space.image, expected.image), space.name
        assert np.array_equal(space.text, expected.text), space.name
