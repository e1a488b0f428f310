"""Prior shift: probabilities and thresholds for a test set with another share of positives."""

import numpy as np
import pytest
import sklearn.metrics

from heads.decision.prior_shift import class_weights, shift_prior
from heads.decision.threshold import tune_threshold
from heads.evaluation.metrics import METRICS


def test_bayes_rule_by_hand():
    # 9 of 10 positives and 2 of 10 negatives raise an alarm. If half are positive, there are 45
    # true alarms to 10 false ones; if a tenth are positive, 9 to 18.
    found = shift_prior(np.array([45 / 55]), 0.5, 0.1)
    assert found == pytest.approx([9 / 27])


def test_same_prior_changes_nothing():
    probability = np.linspace(0, 1, 11)
    np.testing.assert_allclose(shift_prior(probability, 0.35, 0.35), probability)


def test_shift_preserves_ranks_and_certainty_and_is_invertible():
    probability = np.linspace(0, 1, 101)
    shifted = shift_prior(probability, 0.35, 0.6)
    assert (np.diff(shifted) > 0).all() and shifted[[0, -1]].tolist() == [0, 1]
    np.testing.assert_allclose(shift_prior(shifted, 0.6, 0.35), probability)


def test_class_weights_give_the_wanted_share_and_preserve_the_sum():
    label = np.repeat([1, 0], [35, 65])
    weights = class_weights(label, 0.35, 0.6)
    assert weights @ label / weights.sum() == pytest.approx(0.6)
    assert weights.sum() == pytest.approx(100)
    np.testing.assert_allclose(class_weights(label, 0.35, 0.35), 1)


def test_shifted_probabilities_are_calibrated_under_the_weights():
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    y = (rng.random(200_000) < probability).astype(int)
    trained = y.mean()
    weights = class_weights(y, trained, 0.1)
    shifted = shift_prior(probability, trained, 0.1)
    for low in (0.0, 0.1, 0.3, 0.6):
        near = (shifted >= low) & (shifted < low + 0.1)
        share = np.average(y[near], weights=weights[near])
        assert share == pytest.approx(np.average(shifted[near], weights=weights[near]), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_threshold_is_the_best_under_the_weights(metric):
    rng = np.random.default_rng(0)
    y = (rng.random(150) < 0.5).astype(np.int8)
    # Shifted, so that the best threshold is not 0.5.
    probability = np.clip(rng.normal(0.6 + 0.2 * y, 0.15), 0, 1)
    weight = class_weights(y, y.mean(), 0.1)
    tuned = tune_threshold(y, probability, np.arange(150), metric, 0, weight)
    scorer = getattr(sklearn.metrics, f"{metric}_score")
    best = max(scorer(y, probability > t, sample_weight=weight) for t in probability)
    found = scorer(y, probability > tuned.best, sample_weight=weight)
    assert found == pytest.approx(best, abs=1e-9)
    assert tuned.gain == pytest.approx(
        best - scorer(y, probability > 0.5, sample_weight=weight), abs=1e-9
    )


@pytest.mark.parametrize("metric", METRICS)
def test_scaling_all_weights_changes_nothing(metric):
    rng = np.random.default_rng(0)
    y = (rng.random(60) < 0.5).astype(np.int8)
    probability = np.clip(rng.normal(0.6 + 0.2 * y, 0.15), 0, 1)
    group = np.arange(60)
    # Only the ratios of weights matter, not their sum.
    one, other = (
        tune_threshold(y, probability, group, metric, 0, np.full(60, w)) for w in (1.0, 0.01)
    )
    assert (other.value, other.best) == (one.value, one.best)
    assert other.gain == pytest.approx(one.gain)
    assert other.gain_interval == pytest.approx(one.gain_interval)
