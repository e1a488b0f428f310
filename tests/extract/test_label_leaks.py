"""Labels reach the figures by no back door: not by near-duplicates, not where they are chance."""

import shutil
import string
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from extract.run import extract
from extract.spaces import fine_tuned, run_setup
from features.hdf5_store import read_features

SPELLINGS = ("{}", "{}!", "«{}»", "{} ...")
"""One caption four times: tokens differ, what a caption is grouped by does not."""


def auroc(features, fold, rows):
    space = features.spaces[fold]
    return roc_auc_score(features.rows.label[rows], space.joint_logit[rows])


def held_out(features):
    """Mean AUROC of the joint logits on the folds that their spaces left out."""
    labelled = features.rows.labelled
    return np.mean(
        [auroc(features, fold, labelled & features.spaces[fold].held_out) for fold in (0, 1)]
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """36 captions, each of a letter of its own and in four memes; a coin labels all four."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("planted")
    coins = rng.permutation(np.arange(36) % 2)
    memes = [
        (spelling.format(letter * 8), coin)
        for letter, coin in zip(string.ascii_lowercase + string.digits, coins, strict=True)
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
def memoriser(tiny_config, planted, monkeypatch):
    """Settings with which the captions are known by heart."""
    # The tiny tower's words are random: they have to be learnt.
    monkeypatch.setattr(fine_tuned, "freeze_token_embeddings", lambda text: None)
    learning = {"epochs": 3, "batch_size": 16, "lr_text": 3e-3, "precision": "fp32"}
    return replace(tiny_config, data=str(planted), **learning)


def test_a_label_known_from_near_duplicates_is_of_no_use_on_the_fold_left_out(memoriser, tmp_path):
    features = read_features(extract(memoriser, tmp_path / "run"))
    assert auroc(features, 0, features.spaces[0].seen) > 0.9
    # Eighteen coins a fold: chance is between.
    assert 0.2 < held_out(features) < 0.8


def test_without_groups_the_same_near_duplicates_would_give_the_labels_away(
    memoriser, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_setup, "group_memes", lambda table, _: np.arange(len(table)))
    assert held_out(read_features(extract(memoriser, tmp_path / "run"))) > 0.9


def test_shuffled_labels_are_chance_and_leave_spaces_without_labels_as_they_were(
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
    assert 0.3 < held_out(shuffled) < 0.7
    for ours, theirs in zip(shuffled.spaces[2:], features.spaces[2:], strict=True):
        assert np.array_equal(ours.image, theirs.image), ours.name
        assert np.array_equal(ours.text, theirs.text), ours.name
