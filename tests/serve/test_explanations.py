"""Explanations: modalities, words, parts of the picture, neighbours."""

import csv

import numpy as np
import pytest

from serve.explanations import Explainer, word_groups
from serve.predictor import Predictor


@pytest.fixture(scope="module")
def explainer(scored_run):
    return Explainer(Predictor(scored_run, "cpu"), scored_run)


def test_contributions_are_differences_of_probabilities(explainer, tiny_sample):
    with (tiny_sample / "train.csv").open() as file:
        name = file.read().splitlines()[1].split(",")[0]
    picture = (tiny_sample / "img" / f"{name}.png").read_bytes()
    caption = "the cat loves you"
    found = explainer.explain(picture, caption)
    predict = explainer.predictor.predict
    whole, picture_alone, caption_alone, without_cat = (
        one.probability
        for one in predict(
            [picture, picture, None, picture], [caption, "", caption, "the loves you"]
        )
    )
    np.testing.assert_allclose(found.probability, whole, rtol=1e-9)
    np.testing.assert_allclose(found.picture_alone, picture_alone, rtol=1e-9)
    np.testing.assert_allclose(found.caption_alone, caption_alone, rtol=1e-9)
    [cat] = [part for part in found.words if part.what == "cat"]
    np.testing.assert_allclose(cat.contribution, whole - without_cat, atol=1e-9)
    assert sorted(part.what for part in found.words) == ["cat", "loves", "the", "you"]
    assert len(found.picture) == 9 and found.picture[0].what.count(",") == 1
    sizes = [abs(part.contribution) for part in found.picture]
    assert sizes == sorted(sizes, reverse=True)


def test_training_meme_is_its_own_neighbour_and_noise_is_novel(explainer, tiny_sample):
    with (tiny_sample / "train.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    picture = (tiny_sample / row["img"]).read_bytes()
    found = explainer.explain(picture, row["text"])
    assert found.nearest[0].id == row["id"] and found.nearest[0].caption == row["text"]
    assert found.nearest[0].similarity > 0.999 and found.nearest[0].label == int(row["label"])
    assert found.novelty < 0.05


@pytest.mark.parametrize("modality", ["picture", "caption"])
def test_one_modality_alone(explainer, tiny_sample, modality):
    picture = next((tiny_sample / "img").iterdir()).read_bytes()
    found = explainer.explain(*((picture, "") if modality == "picture" else (None, "some words")))
    assert found.picture_alone is None and found.caption_alone is None
    assert len(found.words) == (0 if modality == "picture" else 2)
    assert len(found.picture) == (9 if modality == "picture" else 0)


def test_long_captions_are_divided_into_groups():
    words = [str(number) for number in range(100)]
    groups = word_groups(words)
    assert len(groups) <= 24 and [w for removed, _ in groups for w in removed] == words
    assert all(sorted(removed + without, key=int) == words for removed, without in groups)
