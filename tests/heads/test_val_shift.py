"""If val differs from train, `submit` and `predict` add an offset to the logits of test memes."""

import json
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.config import FitConfig, SubmitConfig
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.evaluation.out_of_fold import to_logit
from heads.predict import load_scorer
from heads.run import fit_heads, submit

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def features():
    """Two in three positives of val are relabelled as negative."""
    table = planted.table("linear", count=500, spaces=planted.TWO_SPACES, strength=2.0)
    rows = table.rows
    relabelled = (rows.split == "val") & (np.random.default_rng(0).random(len(rows)) < 2 / 3)
    label = np.where(relabelled, 0, rows.label).astype(np.int8)
    return replace(table, rows=replace(rows, label=label))


def fit_and_submit(features, run, **settings):
    planted.write(run / "features.h5", features)
    fit_heads(FitConfig("linear"), run, show=False)
    submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)
    ensemble = json.loads((run / "heads/ensemble.json").read_text())
    return ensemble, read_ensemble_probabilities(run / "heads")


def test_offset_of_val_is_added_to_test_unless_a_prior_is_given(features, tmp_path, capsys):
    ensemble, probabilities = fit_and_submit(features, tmp_path)
    assert ensemble["offset"] < -0.3
    assert "to fit the share of positives in val" in capsys.readouterr().err
    with_prior, without_offset = fit_and_submit(features, tmp_path, prior=ensemble["trained_prior"])
    assert with_prior["offset"] == 0
    train, test = (features.rows.split == split for split in ("train", "test"))
    difference = to_logit(probabilities.final) - to_logit(without_offset.final)
    assert np.allclose(difference[test], ensemble["offset"], atol=1e-6)
    assert np.allclose(
        probabilities.held_out[train], without_offset.held_out[train], equal_nan=True
    )


def test_predict_adds_the_offset(features, tmp_path):
    _, probabilities = fit_and_submit(features, tmp_path)
    probability = load_scorer(tmp_path, features.attributes["stamp"]).score(features)
    test = features.rows.split == "test"
    assert np.allclose(probability[test], probabilities.final[test], atol=1e-12)


def test_offset_is_small_if_val_is_like_train(tmp_path):
    features = planted.table("linear", count=500, spaces=planted.TWO_SPACES, strength=2.0)
    assert abs(fit_and_submit(features, tmp_path)[0]["offset"]) < 0.3
