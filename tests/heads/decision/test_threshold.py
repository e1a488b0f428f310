"""Threshold tuning: a threshold other than 0.5 needs a significant gain."""

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import expit, logit

from heads.decision.threshold import MAX_CANDIDATES, candidate_thresholds, tune_threshold
from heads.evaluation.metrics import METRICS


def tune(y, probability, metric="accuracy", group=None, seed=0, weight=None):
    group = np.arange(len(y)) if group is None else group
    weight = np.ones(len(y)) if weight is None else weight
    return tune_threshold(np.array(y, np.int8), np.array(probability), group, metric, seed, weight)


def draw(seed, count=300, shift=0.0):
    """Labels from calibrated probabilities, which are then shifted on the logit scale."""
    rng = np.random.default_rng(seed)
    probability = expit(2 * rng.normal(size=count))
    return (rng.random(count) < probability).astype(np.int8), expit(logit(probability) + shift)


def test_ties_go_to_the_threshold_nearest_one_half():
    # 0.675 and 0.775 are right five times in six, 0.5 three times.
    tuned = tune([0, 0, 1, 0, 1, 1], [0.60, 0.65, 0.70, 0.75, 0.80, 0.85])
    assert tuned.best == pytest.approx(0.675)
    # In the mirrored case, the higher of the two is nearer.
    tuned = tune([0, 0, 1, 0, 1, 1], [0.15, 0.20, 0.25, 0.30, 0.35, 0.40])
    assert tuned.best == pytest.approx(0.325)


def test_one_half_is_kept_if_no_threshold_is_better():
    tuned = tune([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
    assert (tuned.value, tuned.best, tuned.gain) == (0.5, 0.5, 0.0)


def test_gains_on_random_labels_are_not_significant():
    random = [np.random.default_rng(seed).random((2, 150)) for seed in range(40)]
    tuned = [tune(label > 0.5, probability) for label, probability in random]
    assert np.mean([one.gain > 0.02 for one in tuned]) > 0.5, "otherwise the test is trivial"
    assert np.mean([one.value == 0.5 for one in tuned]) >= 0.95


def test_calibrated_probabilities_mostly_give_one_half():
    assert np.mean([tune(*draw(seed)).value == 0.5 for seed in range(40)]) >= 0.9


def test_real_gain_is_significant():
    tuned = tune(*draw(0, shift=2.0))
    assert tuned.value == tuned.best == pytest.approx(expit(2.0), abs=0.1)
    assert tuned.gain > 0.05
    assert 0 < tuned.gain_interval[0] < tuned.gain_interval[1]


def test_gain_on_copies_of_few_memes_is_not_significant():
    y, probability = draw(4, 12, shift=2.0)
    y, probability = np.repeat(y, 30), np.repeat(probability, 30)
    assert tune(y, probability).value != 0.5
    assert tune(y, probability, group=np.arange(len(y)) // 30).value == 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_no_threshold_is_better_on_the_tuning_rows(metric):
    y, probability = draw(1, 120, shift=-1.5)
    scorer = getattr(sklearn.metrics, f"{metric}_score")
    tuned = tune(y, probability, metric)
    best = max(scorer(y, probability > t) for t in [0.5, *probability])
    assert scorer(y, probability > tuned.best) == pytest.approx(best)
    assert tuned.gain == pytest.approx(best - scorer(y, probability > 0.5))


def test_best_threshold_depends_on_the_metric():
    y, probability = draw(2, 300, shift=-1.0)
    rare = (y == 0) | (np.arange(300) % 4 == 0)
    y, probability = y[rare], probability[rare]
    assert len({tune(y, probability, metric).best for metric in METRICS}) > 1


def test_candidates_are_one_half_and_all_midpoints_nearest_one_half_first():
    candidates = candidate_thresholds(np.array([0.9, 0.1, 0.3, 0.9]))
    np.testing.assert_allclose(candidates, [0.5, 0.6, 0.2])


def test_number_of_candidates_is_limited():
    probability = np.random.default_rng(0).random(5000)
    candidates = candidate_thresholds(probability)
    assert len(candidates) == MAX_CANDIDATES + 1
    assert candidates[0] == 0.5
    # Evenly spaced by rank, including both ends.
    assert (probability < candidates.min()).sum() == (probability > candidates.max()).sum() == 1
    ranks = (probability[:, None] < np.sort(candidates)).sum(axis=0)
    assert np.diff(ranks).max() < 1.5 * 5000 / MAX_CANDIDATES


@pytest.mark.parametrize("constant", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.filterwarnings("error")
def test_constant_probabilities_give_one_half(constant):
    tuned = tune([0, 1] * 20, [constant] * 40)
    assert (tuned.value, tuned.best, tuned.gain) == (0.5, 0.5, 0.0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.filterwarnings("error")
def test_few_groups_give_a_finite_interval_without_warnings(metric):
    # Some resamples draw every group, so that no row is out of bag.
    y, probability = draw(4, 40)
    tuned = tune(y, probability, metric, group=np.arange(40) % 4)
    assert np.isfinite(tuned.gain_interval).all()


def test_same_seed_gives_the_same_threshold():
    assert tune(*draw(5), seed=1) == tune(*draw(5), seed=1)


@pytest.mark.parametrize("metric", METRICS)
def test_row_of_weight_two_equals_two_rows(metric):
    y, probability = draw(6, 100, shift=1.0)
    twice = np.where(np.arange(100) % 3 == 0, 2, 1)
    group = np.arange(100)
    weighted = tune(y, probability, metric, group, weight=twice)
    copied = tune(*(np.repeat(one, twice) for one in (y, probability)), metric, group.repeat(twice))
    assert weighted.best == copied.best
    assert weighted.gain != pytest.approx(tune(y, probability, metric).gain)
    assert weighted.gain == pytest.approx(copied.gain)
    assert weighted.gain_interval == pytest.approx(copied.gain_interval)


def test_gain_is_significant_only_under_the_weights():
    y, probability = draw(7, 400)
    rare = np.where(y == 1, 0.2, 1.0)
    assert tune(y, probability).value == 0.5
    # With a fifth of the positives, a calibrated 0.5 becomes 1/6.
    assert tune(y, probability, weight=rare).value == pytest.approx(5 / 6, abs=0.1)
