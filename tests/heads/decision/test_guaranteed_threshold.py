"""Guarantees hold in nine of ten draws, and say why where there is none."""

import os

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, norm

from heads.decision.guaranteed_threshold import ERROR_LEVEL, guarantee, trials_needed
from heads.decision.targets import parse_targets
from heads.decision.threshold import midpoints

DRAWS = 400 * int(os.environ.get("FUZZ", "1"))

SHARE, DISTANCE = 0.4, 1.5
"""Share of hateful memes, and distance of the classes in standard deviations."""

NOISE = 3 * (ERROR_LEVEL * (1 - ERROR_LEVEL) / DRAWS) ** 0.5


def find(flag, y, probability):
    return guarantee(parse_targets([flag])[0], np.array(y), np.array(probability))


def draw(seed, count, confidence=1.0):
    """Labels, and probabilities that are calibrated at confidence 1."""
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < SHARE).astype(int)
    score = rng.normal(size=count) + DISTANCE * y
    return y, expit(confidence * (DISTANCE * (score - DISTANCE / 2) + logit(SHARE)))


def true_rate(rate, threshold, confidence=1.0):
    """Rate at a threshold on infinitely many memes of `draw`."""
    score = (logit(threshold) / confidence - logit(SHARE)) / DISTANCE + DISTANCE / 2
    recall, fpr = norm.sf(score - DISTANCE), norm.sf(score)
    flagged = SHARE * recall + (1 - SHARE) * fpr
    return {"precision": SHARE * recall / flagged, "recall": recall, "fpr": fpr}[rate]


@pytest.mark.parametrize(
    ("flag", "count", "confidence"),
    [
        ("precision>=0.8", 200, 1.0),
        ("precision>=0.8", 1000, 1.0),
        ("precision>=0.8", 1000, 2.0),
        ("precision>=0.8", 1000, 0.5),
        ("precision>=0.5", 300, 1.0),
        ("recall>=0.9", 300, 1.0),
        ("recall>=0.95", 1000, 1.0),
        ("fpr<=0.01", 1000, 1.0),
        ("fpr<=0.1", 300, 1.0),
    ],
)
def test_target_is_missed_in_at_most_a_tenth_of_the_draws(flag, count, confidence):
    target, missed, met = parse_targets([flag])[0], 0, 0
    for seed in range(DRAWS):
        threshold = guarantee(target, *draw(seed, count, confidence)).threshold
        if threshold is not None:
            met += 1
            rate = true_rate(target.rate, threshold, confidence)
            missed += rate > target.bound if target.rate == "fpr" else rate < target.bound
    assert missed / DRAWS <= ERROR_LEVEL + NOISE
    assert met / DRAWS > 0.3, "otherwise the test is trivial"


def test_scores_without_information_rarely_meet_a_precision_above_the_share():
    rng = np.random.default_rng(0)
    drawn = [(rng.random(300) < 0.69, rng.random(300)) for _ in range(DRAWS)]
    met = [find("precision>=0.7", y, p).threshold is not None for y, p in drawn]
    assert 0 < np.mean(met) <= ERROR_LEVEL + NOISE


@pytest.mark.parametrize("flag", ["precision>=0.8", "recall>=0.9", "fpr<=0.05"])
def test_more_memes_come_closer_to_the_target(flag):
    rate, bound = flag[: flag.index("=") - 1], float(flag[flag.index("=") + 1 :])
    gaps = [
        abs(true_rate(rate, find(flag, *draw(0, count)).threshold) - bound)
        for count in (2000, 100_000)
    ]
    assert gaps[1] < min(gaps[0], 0.01)


@pytest.mark.parametrize("flag", ["recall>=0.9", "fpr<=0.05"])
def test_monotone_rates_give_the_last_of_all_midpoints_that_passes(flag):
    y, probability = draw(5, 700)
    recall = flag.startswith("recall")
    in_trials = y == int(recall)
    error = (lambda t: probability <= t) if recall else (lambda t: probability > t)
    passing = [
        t
        for t in midpoints(probability)
        if binom.cdf((in_trials & error(t)).sum(), in_trials.sum(), 0.1 if recall else 0.05)
        <= ERROR_LEVEL
    ]
    assert find(flag, y, probability).threshold == (max(passing) if recall else min(passing))


def test_first_error_ends_a_sequence_that_allows_none():
    # With 22 hateful memes, a recall of 0.9 allows no miss: the threshold lies below the lowest.
    y, probability = [0] * 10 + [1] * 22, np.linspace(0.1, 0.9, 32)
    found = find("recall>=0.9", y, probability)
    assert found.threshold == pytest.approx((probability[9] + probability[10]) / 2)
    assert (found.errors, found.trials, found.available) == (0, 22, 22)
    assert found.sentence() == (
        "With 90 % confidence, the recall on new memes like the held-out ones is at least 0.9: "
        "0 of 22 independent hateful memes are missed."
    )


def test_precision_is_proven_although_the_highest_scores_are_errors():
    # The most conservative threshold flags one meme, which is an error.
    y = np.r_[np.zeros(200), np.ones(199), 0]
    probability = np.r_[np.linspace(0.01, 0.05, 200), np.linspace(0.96, 0.99, 200)]
    found = find("precision>=0.9", y, probability)
    assert found.trials > 199 and found.errors / found.trials < 0.1


@pytest.mark.parametrize(
    ("flag", "needed"),
    [("recall>=0.95", 45), ("precision>=0.9", 22), ("fpr<=0.01", 230), ("fpr<=0.001", 2302)],
)
def test_memes_needed_without_an_error(flag, needed):
    target = parse_targets([flag])[0]
    assert trials_needed(target) == needed
    assert (1 - target.tolerated) ** needed <= ERROR_LEVEL < (1 - target.tolerated) ** (needed - 1)


def test_too_few_memes_are_named_with_how_many_are_needed():
    found = find("recall>=0.95", [0] * 50 + [1] * 43, np.arange(93) / 93)
    assert found.threshold is None
    assert found.sentence() == (
        "recall>=0.95 cannot be guaranteed with 90 % confidence: the held-out rows have only 43 "
        "independent hateful memes; at least 45 would be needed even without a single error."
    )
    found = find("precision>=0.99", *draw(0, 200))
    assert "only 200 independent memes; at least 230 would" in found.sentence()


@pytest.mark.parametrize(
    ("flag", "guaranteed"), [("recall>=0.99", "at least"), ("fpr<=0.01", "at most")]
)
def test_unmet_target_says_what_is_guaranteed_instead(flag, guaranteed):
    y, probability = draw(3, 1000)
    found = find(flag, y, np.round(1 - probability, 1))
    assert found.threshold is None
    assert f"which guarantees {guaranteed} {found.bound:.3f}." in found.sentence()
    assert found.errors > 0


def test_bound_is_that_of_clopper_and_pearson():
    found = find("fpr<=0.01", *draw(3, 1000))
    errors, trials = found.errors, found.trials
    assert binom.cdf(errors, trials, found.bound) == pytest.approx(ERROR_LEVEL)


@pytest.mark.parametrize("flag", ["precision>=0.9", "recall>=0.9", "fpr<=0.1"])
@pytest.mark.filterwarnings("error")
def test_constant_probabilities_meet_no_target(flag):
    found = find(flag, [0, 1] * 50, [0.4] * 100)
    assert found.threshold is None
    assert "all held-out memes have the same probability" in found.sentence()
