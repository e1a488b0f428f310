"""Predictions for new memes equal those of `submit`."""

import json
import shutil
from dataclasses import replace

import numpy as np
import planted
import pytest

from features.feature_table import FeatureTable
from heads.config import FitConfig, SubmitConfig
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.predict import load_scorer
from heads.run import fit_heads, submit
from runtime.errors import UserError
from runtime.files.json_files import read_json, write_json

pytestmark = pytest.mark.usefixtures("quick")


def score_memes(features, run):
    """Return the probability and the decision of each row."""
    scorer = load_scorer(run, features.attributes["stamp"])
    probability = scorer.score(features)
    return probability, probability > scorer.threshold


def submit_run(run, **settings):
    submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)


def select_rows(features, indices):
    """Select some rows of the features."""

    def cut(one):
        kind = {name: getattr(one, name) for name in one.__dataclass_fields__}
        arrays = {n: v[indices] for n, v in kind.items() if isinstance(v, np.ndarray)}
        return replace(one, **arrays)

    spaces = [cut(space) for space in features.spaces]
    return FeatureTable(cut(features.rows), spaces, features.attributes)


def set_weights(run, **weights):
    """Overwrite the ensemble's weights; 0 for heads that are not named."""
    path = run / "heads" / "ensemble.json"
    ensemble = read_json(path, "submit")
    ensemble["weights"] = {name: weights.get(name, 0.0) for name in ensemble["weights"]}
    write_json(path, ensemble)


@pytest.fixture
def equal_weights(monkeypatch):
    """Give all members equal weights, so that each of them is used."""
    for kind, (combination, _) in ENSEMBLES.items():
        equal = combination, lambda probability, y: np.full(len(probability), 1 / len(probability))
        monkeypatch.setitem(ENSEMBLES, kind, equal)


@pytest.mark.parametrize(
    ("kind", "prior"), [*((kind, None) for kind in ENSEMBLES), ("mean", 0.8), ("rank", 0.8)]
)
def test_predictions_equal_those_submitted(finished, run, equal_weights, kind, prior):
    submit_run(run, ensemble=kind, prior=prior)
    test = finished.features.rows.split == "test"
    probability, decision = score_memes(select_rows(finished.features, test), run)
    submitted = read_ensemble_probabilities(run / "heads").final[test]
    np.testing.assert_allclose(probability, submitted, rtol=0, atol=1e-9)
    threshold = json.loads((run / "metrics.json").read_text())["ensemble"]["threshold"]["value"]
    np.testing.assert_array_equal(decision, submitted > threshold)
    assert len(np.unique(probability.round(6))) > 3, "otherwise there is nothing to compare"


def test_prediction_does_not_depend_on_the_batch(finished, run, equal_weights):
    submit_run(run, ensemble="mean")
    probability, decision = score_memes(finished.features, run)
    for index in (7, 12, 100):
        alone = score_memes(select_rows(finished.features, [index]), run)
        np.testing.assert_allclose(alone[0], probability[index], rtol=0, atol=1e-9)
        assert alone[1] == decision[index]


def test_spaces_of_different_widths_work_together(tmp_path):
    widths = {"space_1": (12, 8), "pretrained": (3, 90), "lexical": (5, 9)}
    features = planted.table("linear", widths=widths, test_labels=False)
    planted.write(tmp_path / "features.h5", features)
    fit_heads(FitConfig("linear,stack"), tmp_path)
    submit_run(tmp_path)
    test = features.rows.split == "test"
    probability, _ = score_memes(select_rows(features, test), tmp_path)
    submitted = read_ensemble_probabilities(tmp_path / "heads").final[test]
    np.testing.assert_allclose(probability, submitted, rtol=0, atol=1e-9)


def test_heads_fitted_on_other_features_raise_an_error(run):
    with pytest.raises(UserError, match="fitted on other features"):
        score_memes(planted.table(stamp="b"), run)


def test_missing_member_raises_an_error(finished, run):
    set_weights(run, interaction=0.5, linear=0.5)
    shutil.rmtree(run / "heads" / "linear")
    with pytest.raises(UserError, match=r"Run: python pipeline\.py submit"):
        score_memes(finished.features, run)


def test_missing_parent_of_a_member_raises_an_error(finished, run):
    set_weights(run, stack=1.0)
    score_memes(finished.features, run)
    shutil.rmtree(run / "heads" / "linear")
    with pytest.raises(UserError, match=r"Run: python pipeline\.py submit"):
        score_memes(finished.features, run)


def test_heads_without_weight_are_not_needed(finished, run):
    set_weights(run, interaction=1.0)
    before = score_memes(finished.features, run)
    shutil.rmtree(run / "heads" / "linear")
    np.testing.assert_array_equal(score_memes(finished.features, run), before)


def test_ensemble_older_than_its_heads_raises_an_error(finished, run):
    # The ensemble's threshold was tuned for accuracy; the heads' thresholds are now for f1.
    fit_heads(FitConfig("linear", metric="f1"), run)
    with pytest.raises(UserError, match=r"Run first: python pipeline\.py submit"):
        score_memes(finished.features, run)
