"""Figures agree with scikit-learn's; intervals know that near-duplicates are one observation."""

import numpy as np
import pytest
import sklearn.metrics

from heads.decisions import METRICS, count_decisions
from heads.metrics import interval, resampling_weights, score

COUNT = 120


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


def test_counts_are_those_of_the_confusion_matrix(rng, y):
    decisions = rng.integers(0, 2, (COUNT, 3)).astype(bool)
    weights = rng.integers(0, 4, (5, COUNT)).astype(float)
    found = np.array(count_decisions(y, decisions, weights))
    assert found.shape == (4, 5, 3)
    for r, w in enumerate(weights):
        for t, decision in enumerate(decisions.T):
            tn, fp, fn, tp = sklearn.metrics.confusion_matrix(y, decision, sample_weight=w).ravel()
            assert found[:, r, t].tolist() == [tp, fp, fn, tn]
    alone = np.array(count_decisions(y, decisions[:, 1], weights))
    np.testing.assert_array_equal(alone, found[:, :, 1])


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_of_decisions_is_scikit_learns(rng, y, metric):
    decision = rng.integers(0, 2, COUNT).astype(bool)
    weights = rng.integers(0, 4, COUNT).astype(float)
    expected = getattr(sklearn.metrics, f"{metric}_score")(y, decision, sample_weight=weights)
    found = METRICS[metric](count_decisions(y, decision, weights[None]))
    assert found == pytest.approx([expected])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.filterwarnings("error")
def test_no_metric_divides_by_zero_if_nothing_is_positive(metric):
    nothing = np.zeros(4, dtype=bool)
    assert np.isfinite(METRICS[metric](count_decisions(nothing, nothing, np.ones((1, 4))))).all()


def test_figures_are_scikit_learns(y, probability):
    decision = probability > 0.3
    found = score(y, probability, probability > 0.5, decision, np.arange(COUNT), 0)
    assert (found.pop("rows"), found.pop("positives")) == (COUNT, y.sum())
    expected = {
        "auroc": sklearn.metrics.roc_auc_score(y, probability),
        "average_precision": sklearn.metrics.average_precision_score(y, probability),
    }
    for metric in METRICS:
        scorer = getattr(sklearn.metrics, f"{metric}_score")
        expected[f"{metric}_default"] = scorer(y, probability > 0.5)
        expected[f"{metric}_tuned"] = scorer(y, decision)
    assert {name: figure["value"] for name, figure in found.items()} == pytest.approx(expected)
    for figure in found.values():
        low, high = figure["interval"]
        assert low < figure["value"] < high


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_ranking_figures_but_an_accuracy(probability, label):
    y = np.full(COUNT, label, dtype=np.int8)
    found = score(y, probability, *2 * [probability > 0.5], np.arange(COUNT), 0)
    assert (found["auroc"], found["average_precision"]) == (None, None)
    assert found["accuracy_default"]["value"] == np.mean((probability > 0.5) == label)


@pytest.mark.filterwarnings("error")
def test_resamples_without_a_positive_are_left_out_of_ranking_intervals():
    y = np.array([1] + [0] * 9)
    found = score(y, np.linspace(0, 1, 10), y > 0, y > 0, np.arange(10), 0)
    assert np.isfinite(found["auroc"]["interval"]).all()


def test_a_group_is_drawn_as_a_whole(rng):
    group = rng.integers(0, 30, COUNT) * 7
    weights = resampling_weights(group, 0)
    for number in np.unique(group):
        same = weights[:, group == number]
        assert (same == same[:, :1]).all()
    # As many groups are drawn as there are, some of them more than once.
    first = [np.flatnonzero(group == number)[0] for number in np.unique(group)]
    assert (weights[:, first].sum(axis=1) == len(first)).all()
    assert weights.max() > 1


def test_resampling_follows_its_seed():
    group = np.arange(20)
    assert (resampling_weights(group, 1) == resampling_weights(group, 1)).all()
    assert (resampling_weights(group, 1) != resampling_weights(group, 2)).any()


def covered(group, seed, memes):
    """Whether the interval holds the true accuracy, 0.7, of decisions on copied memes."""
    right = np.random.default_rng(seed).random(memes) < 0.7
    decision = np.repeat(right, COUNT // memes)
    counts = count_decisions(np.ones(COUNT), decision, resampling_weights(group, seed))
    low, high = interval(METRICS["accuracy"](counts))
    return low <= 0.7 <= high


def test_intervals_mostly_hold_the_truth():
    share = np.mean([covered(np.arange(COUNT), seed, COUNT) for seed in range(200)])
    assert 0.9 <= share <= 0.99


def test_copies_do_not_make_an_interval_narrower():
    copies = np.repeat(np.arange(40), 3)
    grouped = np.mean([covered(copies, seed, 40) for seed in range(200)])
    assert grouped >= 0.88
    ungrouped = np.mean([covered(np.arange(COUNT), seed, 40) for seed in range(200)])
    assert ungrouped < 0.8, "or else the groups are not what makes the difference"


def test_undefined_resamples_do_not_make_an_interval_undefined():
    assert interval(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]
