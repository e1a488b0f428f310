"""Metrics equal scikit-learn's; intervals treat a group of near-duplicates as one observation."""

import numpy as np
import pytest
import sklearn.metrics

from heads.evaluation.bootstrap import percentile_interval, resampled
from heads.evaluation.metrics import METRICS, confusion_counts, confusion_counts_above
from heads.evaluation.score_summary import calibration_error, score_with_intervals

COUNT = 120


def score(y, probability, threshold=0.5, group=None, weight=None):
    group = np.arange(len(y)) if group is None else group
    weight = np.ones(len(y)) if weight is None else weight
    return score_with_intervals(y, probability, np.full(len(y), threshold), group, 0, weight)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def y(rng):
    return rng.integers(0, 2, COUNT).astype(np.int8)


@pytest.fixture
def probability(rng, y):
    # Rounded, so that there are ties.
    return np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1).round(2)


def test_confusion_counts_equal_scikit_learns(rng, y):
    decision = rng.integers(0, 2, COUNT).astype(bool)
    weights = rng.integers(0, 4, (5, COUNT)).astype(float)
    found = np.array(confusion_counts(y, decision, weights))
    assert found.shape == (4, 5)
    for r, w in enumerate(weights):
        tn, fp, fn, tp = sklearn.metrics.confusion_matrix(y, decision, sample_weight=w).ravel()
        assert found[:, r].tolist() == [tp, fp, fn, tn]


def test_confusion_counts_above_many_thresholds_equal_those_of_each(rng, y, probability):
    # Unsorted; some equal a probability, some are beyond all of them.
    thresholds = np.array([0.5, -1.0, *probability[:4], 0.123, 2.0])
    weights = rng.integers(0, 4, (5, COUNT)).astype(float)
    found = np.array(confusion_counts_above(y, probability, thresholds)(weights))
    assert found.shape == (4, 5, len(thresholds))
    for index, threshold in enumerate(thresholds):
        expected = confusion_counts(y, probability > threshold, weights)
        np.testing.assert_array_equal(found[:, :, index], expected)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_of_decisions_equal_scikit_learns(rng, y, metric):
    decision = rng.integers(0, 2, COUNT).astype(bool)
    weights = rng.integers(0, 4, COUNT).astype(float)
    expected = getattr(sklearn.metrics, f"{metric}_score")(y, decision, sample_weight=weights)
    found = METRICS[metric](confusion_counts(y, decision, weights[None]))
    assert found == pytest.approx([expected])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.filterwarnings("error")
def test_metrics_without_positives_do_not_divide_by_zero(metric):
    negative = np.zeros(4, dtype=bool)
    assert np.isfinite(METRICS[metric](confusion_counts(negative, negative, np.ones((1, 4))))).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_equal_scikit_learns(rng, y, probability, weighted):
    weight = rng.random(COUNT) if weighted else np.ones(COUNT)
    decision = probability > 0.3
    found = score(y, probability, 0.3, weight=weight)
    assert (found.pop("rows"), found.pop("positives")) == (COUNT, y.sum())
    assert found.pop("calibration_error") == calibration_error(y, probability, weight)
    expected = {
        name: getattr(sklearn.metrics, scorer)(y, probability, sample_weight=weight)
        for name, scorer in (
            ("auroc", "roc_auc_score"),
            ("average_precision", "average_precision_score"),
            ("brier", "brier_score_loss"),
            ("log_loss", "log_loss"),
        )
    }
    # Some probabilities are 0 or 1: their log loss depends on the clipping.
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    expected["log_loss"] = sklearn.metrics.log_loss(y, clipped, sample_weight=weight)
    for metric in METRICS:
        scorer = getattr(sklearn.metrics, f"{metric}_score")
        expected[f"{metric}_default"] = scorer(y, probability > 0.5, sample_weight=weight)
        expected[f"{metric}_tuned"] = scorer(y, decision, sample_weight=weight)
    values = {name: metric["value"] for name, metric in found.items()}
    assert values == pytest.approx(expected, rel=1e-5)
    for metric in found.values():
        low, high = metric["interval"]
        assert low < metric["value"] < high


def test_each_row_uses_its_own_threshold(y, probability):
    threshold = np.where(y == 1, probability - 0.01, probability + 0.01)
    found = score_with_intervals(y, probability, threshold, np.arange(COUNT), 0, np.ones(COUNT))
    assert found["accuracy_tuned"]["value"] == 1
    assert found["accuracy_default"]["value"] < 1


def test_row_of_weight_two_equals_two_rows(y, probability):
    twice = np.where(np.arange(COUNT) % 4 == 0, 2, 1)
    group = np.arange(COUNT)
    weighted = score(y, probability, group=group, weight=twice)
    copied = score(*(np.repeat(one, twice) for one in (y, probability)), group=group.repeat(twice))
    for name in ("auroc", "brier", "log_loss", "f1_default"):
        assert weighted[name]["value"] == pytest.approx(copied[name]["value"])
        assert weighted[name]["interval"] == pytest.approx(copied[name]["interval"])


def test_calibration_error_by_hand():
    # Bins of two rows with probability 0.05 + k/10, and 0, 1 or 2 positives.
    probability = np.repeat(np.arange(10) / 10 + 0.05, 2)
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 1]).repeat(2)
    gaps = [0.05, 0.15, 0.25, 0.65, 0.45, 0.45, 0.35, 0.25, 0.15, 0.05]
    assert calibration_error(y, probability, np.ones(20)) == pytest.approx(np.mean(gaps))
    # The order of rows does not matter, and weights are respected.
    order = np.random.default_rng(0).permutation(20)
    weight = np.repeat(np.arange(10.0), 2)
    found = calibration_error(y[order], probability[order], weight[order])
    assert found == pytest.approx(np.average(gaps, weights=np.arange(10)))


def test_errors_that_cancel_within_a_bin_are_no_calibration_error():
    y, probability = np.tile([0, 1], 50), np.full(100, 0.5)
    assert calibration_error(y, probability, np.ones(100)) == pytest.approx(0)
    assert calibration_error(np.ones(100), probability, np.ones(100)) == pytest.approx(0.5)


def test_calibration_error_with_fewer_rows_than_bins():
    y, probability = np.array([0, 1, 1]), np.array([0.1, 0.9, 0.5])
    found = calibration_error(y, probability, np.ones(3))
    assert found == pytest.approx((0.1 + 0.1 + 0.5) / 3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [0, 1])
def test_single_class_has_an_accuracy_but_no_ranking_metrics(probability, label):
    y = np.full(COUNT, label, dtype=np.int8)
    found = score(y, probability)
    assert (found["auroc"], found["average_precision"]) == (None, None)
    assert found["accuracy_default"]["value"] == np.mean((probability > 0.5) == label)


@pytest.mark.filterwarnings("error")
def test_resamples_without_a_positive_are_ignored_in_ranking_intervals():
    y = np.array([1] + [0] * 9)
    found = score(y, np.linspace(0, 1, 10))
    assert np.isfinite(found["auroc"]["interval"]).all()


def all_weights(group, seed):
    return resampled(lambda weights: weights, group, seed)


def test_groups_are_drawn_as_a_whole(rng):
    group = rng.integers(0, 30, COUNT) * 7
    weights = all_weights(group, 0)
    for number in np.unique(group):
        same = weights[:, group == number]
        assert (same == same[:, :1]).all()
    # The number of draws equals the number of groups; some are drawn more than once.
    first = [np.flatnonzero(group == number)[0] for number in np.unique(group)]
    assert (weights[:, first].sum(axis=1) == len(first)).all()
    assert weights.max() > 1


def test_scores_do_not_depend_on_the_block_size(y, probability, monkeypatch):
    at_once = score(y, probability)
    monkeypatch.setattr("heads.evaluation.bootstrap.BLOCK_SIZE", 7 * COUNT)
    in_blocks = score(y, probability)
    for name, metric in at_once.items():
        if isinstance(metric, dict):
            assert in_blocks[name]["value"] == metric["value"]
            assert in_blocks[name]["interval"] == pytest.approx(metric["interval"], abs=1e-12)


def test_resampling_depends_on_the_seed():
    group = np.arange(20)
    assert (all_weights(group, 1) == all_weights(group, 1)).all()
    assert (all_weights(group, 1) != all_weights(group, 2)).any()


def interval_covers_truth(group, seed, memes):
    """Return whether the interval contains the true accuracy, 0.7, of decisions on copied memes."""
    right = np.random.default_rng(seed).random(memes) < 0.7
    decision = np.repeat(right, COUNT // memes)
    counts = confusion_counts(np.ones(COUNT), decision, all_weights(group, seed))
    low, high = percentile_interval(METRICS["accuracy"](counts))
    return low <= 0.7 <= high


def test_intervals_have_the_nominal_coverage():
    share = np.mean([interval_covers_truth(np.arange(COUNT), seed, COUNT) for seed in range(200)])
    assert 0.9 <= share <= 0.99


def test_copies_do_not_make_intervals_narrower():
    copies = np.repeat(np.arange(40), 3)
    grouped = np.mean([interval_covers_truth(copies, seed, 40) for seed in range(200)])
    assert grouped >= 0.88
    ungrouped = np.mean([interval_covers_truth(np.arange(COUNT), seed, 40) for seed in range(200)])
    assert ungrouped < 0.8, "otherwise the groups make no difference"


def test_nan_values_are_ignored_in_intervals():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]
