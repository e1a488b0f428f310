"""Held-out metrics agree with test metrics, and are at chance on noise (stage two end to end)."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from quick_heads import apply_quick_settings
from scipy.special import expit
from scipy.stats import norm

from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit


def run_and_score(folder, features, heads=planted.HEADS):
    """Run stage two; return the scores of each head and of the ensemble."""
    planted.write(folder / "features.h5", features)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        apply_quick_settings(patch.setattr)
        fit_heads(FitConfig(heads), folder)
        submit(SubmitConfig(out=str(folder / "solution.csv")), folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    evaluated = [*metrics["heads"], {**metrics["ensemble"], "name": "ensemble"}]
    return {one["name"]: one["scores"] for one in evaluated}


def overfit(features):
    """Make the backbones overfit: write the labels of seen rows into their features."""
    sign = 2 * features.rows.label - 1

    def learned(space):
        image, logit = space.image.copy(), space.joint_logit
        image[space.seen, 0] = 6 * sign[space.seen]
        if logit is not None:
            logit = np.where(space.seen, 5 * sign, logit).astype(np.float32)
        return replace(space, image=image, joint_logit=logit)

    return replace(features, spaces=[learned(space) for space in features.spaces])


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """Random labels, and backbones that have memorised those of seen rows."""
    folder = tmp_path_factory.mktemp("chance")
    features = overfit(planted.table("noise", 600))
    return folder, features, run_and_score(folder, features)


@pytest.mark.parametrize(
    "name", ["joint", *planted.HEADS.split(","), "image only", "text only", "ensemble"]
)
def test_random_labels_are_predicted_at_chance(chance, name):
    low, high = chance[2][name]["held_out"]["auroc"]["interval"]
    # Selection on a few hundred rows is slightly optimistic.
    assert low - 0.03 < 0.5 < high + 0.03


def test_backbones_have_memorised_the_seen_labels(chance):
    _, features, _ = chance
    sign = 2 * features.rows.label - 1
    for space in features.spaces:
        if space.joint_logit is not None:
            assert (expit(space.joint_logit) - 0.5)[space.seen] @ sign[space.seen] > 0.3 * sum(
                space.seen
            )


SPACES = ("space_0", "pretrained", "lexical")
STRENGTH = 0.8


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    """Labels equal to the image's class, with independent noise in every space.

    With one pair of backbones, held-out rows are predicted in as many spaces as test rows.
    """
    features = planted.table("linear", 1500, spaces=SPACES, strength=STRENGTH)
    return run_and_score(tmp_path_factory.mktemp("signal"), features)


def bayes_optimal_auroc(spaces):
    """Bayes-optimal AUROC from independent observations of the same class in each space."""
    return norm.cdf(STRENGTH * spaces**0.5 / 2**0.5)


def test_ensemble_is_near_the_bayes_optimal_auroc_and_no_head_exceeds_it(signal):
    best = bayes_optimal_auroc(len(SPACES))
    for scores in signal.values():
        assert scores["held_out"]["auroc"]["interval"][0] < best
    assert signal["ensemble"]["held_out"]["auroc"]["value"] == pytest.approx(best, abs=0.04)


def test_held_out_metrics_of_the_ensemble_agree_with_test(signal):
    for metric in ("auroc", "log_loss", "brier", "accuracy_tuned"):
        held_out, test = (signal["ensemble"][rows][metric] for rows in ("held_out", "test"))
        (low, high), (lowest, highest) = held_out["interval"], test["interval"]
        assert lowest < held_out["value"] < highest
        assert low < test["value"] < high


def test_probabilities_of_the_ensemble_are_calibrated(signal):
    for rows in ("held_out", "test"):
        assert signal["ensemble"][rows]["calibration_error"] < 0.08


def test_with_several_pairs_of_backbones_held_out_metrics_are_not_optimistic(tmp_path):
    features = planted.table("linear", 900, strength=STRENGTH)
    scores = run_and_score(tmp_path, features, "linear,stack")["ensemble"]
    # A held-out row is predicted with one pair of backbones, a test row with both.
    assert scores["held_out"]["auroc"]["value"] < scores["test"]["auroc"]["interval"][1]
    assert scores["held_out"]["auroc"]["interval"][0] < bayes_optimal_auroc(3)
