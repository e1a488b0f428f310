"""Predictor: loaded once, the same bits as submit, faults named, threads may share it."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from extract.training import small_batches
from features.hdf5_store import read_features
from heads.config import SUBMITTED
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from serve.predictor import Predictor


@pytest.fixture(scope="module")
def predictor(scored_run):
    return Predictor(scored_run, "cpu", SUBMITTED)


@pytest.fixture(scope="module")
def scored_features(scored_run):
    return read_features(scored_run / "features.h5", embeddings=False)


@pytest.fixture(scope="module")
def memes(tiny_sample, scored_features):
    """Pictures, captions and the probabilities of submit of eight test memes."""
    rows = np.flatnonzero(scored_features.rows.split == "test")[:8]
    ids = scored_features.rows.id[rows]
    return ids, [(tiny_sample / "img" / f"{name}.png").read_bytes() for name in ids]


def captions_of(tiny_sample, ids):
    with (tiny_sample / "test.csv").open(encoding="utf-8") as file:
        by_id = {row["id"]: row["text"] for row in csv.DictReader(file)}
    return [by_id[name] for name in ids]


def test_probabilities_are_those_of_submit_alone_and_together(
    predictor, memes, scored_run, scored_features, tiny_sample
):
    ids, pictures = memes
    captions = captions_of(tiny_sample, ids)
    final = read_ensemble_probabilities(scored_run / "heads").final
    expected = [final[np.flatnonzero(scored_features.rows.id == name)[0]] for name in ids]
    together = [one.probability for one in predictor.predict(pictures, captions)]
    np.testing.assert_allclose(together, expected, rtol=1e-12)
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda p, c: predictor.predict([p], [c])[0], pictures, captions))
    np.testing.assert_allclose([one.probability for one in alone], expected, rtol=1e-12)
    assert [one.decision for one in alone] == [p > predictor.threshold for p in expected]


def test_one_modality_is_enough_and_faults_are_named(predictor, memes):
    picture = memes[1][0]
    found = predictor.predict([picture, None, b"<html>", b""], ["", "words", "words", "\ud800"])
    assert [one.fault == "" for one in found] == [True, True, False, False]
    assert "web page" in found[2].fault and "empty" in found[3].fault
    assert np.isnan(found[2].probability) and not found[2].decision
    good, missing = predictor.predict([picture, Path("missing.png")], ["", ""])
    assert missing.fault == "the picture is not a file" and good == found[0]
    assert all("/" not in one.fault.replace("a web page", "") for one in found)


def test_prior_moves_probabilities(scored_run, memes):
    picture = memes[1][:1]
    trained = Predictor(scored_run, "cpu").predict(picture, ["words"])[0].probability
    rare = Predictor(scored_run, "cpu", 0.01).predict(picture, ["words"])[0].probability
    assert rare < trained


def test_a_remark_on_the_memes_is_said_once(scored_run, capsys):
    predictor = Predictor(scored_run, "cpu")
    for count in (1, 3):
        predictor.predict([None] * count, ["many words " * 200] * count)
    assert capsys.readouterr().err.count("truncated to") == 1


def test_after_the_warm_up_no_meme_waits_while_small_batches_are_tried(
    scored_run, memes, monkeypatch, capsys
):
    tried, real = [], small_batches._sizes_with_bits_of
    spy = lambda *arguments: tried.append(arguments) or real(*arguments)  # noqa: E731
    monkeypatch.setattr(small_batches, "_sizes_with_bits_of", spy)
    predictor = Predictor(scored_run, "cpu")
    predictor.warm_up()
    assert "in small batches: " in capsys.readouterr().err
    before = len(tried)
    assert before > 0
    for count in (1, 2, 3):
        predictor.predict(memes[1][:count], ["some words " * count] * count)
    assert len(tried) == before
