"""Operating points: one meme per group for guarantees, weights for a prior, costs out-of-fold."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from heads.decision.operating_points import choose_operating_points, independent_rows, rates_above
from heads.decision.prior_shift import class_weights, shift_prior
from heads.decision.targets import parse_targets
from heads.evaluation.ratio_intervals import ScoredRows

SHARE = 0.4


def scored(count=1000, seed=0, signal=2.5):
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < SHARE).astype(np.int8)
    logits = signal * (rng.normal(size=count) + signal * (y - 0.5)) + np.log(SHARE / (1 - SHARE))
    return ScoredRows(y, expit(logits), np.arange(count), np.ones(count), 0)


def choose(rows, *flags):
    return choose_operating_points(parse_targets(list(flags)), rows, rows.group % 5)


def repeated(rows, times):
    arrays = ("y", "probability", "group", "weight")
    return replace(rows, **{name: getattr(rows, name).repeat(times) for name in arrays})


def test_one_point_for_each_target_in_order():
    flags = ["recall>=0.95", "cost=1:2", "precision>=0.9", "fpr<=0.05"]
    points = choose(scored(), *flags)
    assert [point.target for point in points] == flags
    assert [point.guaranteed for point in points] == [True, False, True, True]
    for point in points:
        assert point.rates.keys() == {"flagged", "precision", "recall", "fpr"}
    assert points[0].rates["recall"]["value"] >= 0.95
    assert points[2].rates["precision"]["value"] >= 0.9
    assert points[3].rates["fpr"]["value"] <= 0.05


def test_rates_are_those_of_the_decisions_above_the_threshold():
    rows = scored()
    flagged, y = rows.probability > 0.3, rows.y == 1
    rates = {name: rate["value"] for name, rate in rates_above(rows, 0.3).items()}
    assert rates == {
        "flagged": pytest.approx(flagged.mean()),
        "precision": pytest.approx(y[flagged].mean()),
        "recall": pytest.approx(flagged[y].mean()),
        "fpr": pytest.approx(flagged[~y].mean()),
    }
    for name, rate in rates_above(rows, 0.3).items():
        low, high = rate["interval"]
        assert low < rates[name] < high


def test_unmet_target_has_no_threshold_and_no_rates():
    (point,) = choose(scored(100), "fpr<=0.001")
    assert (point.threshold, point.guaranteed, point.rates) == (None, False, None)
    assert point.sentence.startswith("fpr<=0.001 cannot be guaranteed")


@pytest.mark.parametrize("flag", ["precision>=0.8", "recall>=0.9", "fpr<=0.05"])
def test_copies_of_memes_do_not_strengthen_a_guarantee(flag):
    rows = scored(300)
    (once,), (copied,) = choose(rows, flag), choose(repeated(rows, 20), flag)
    assert copied.threshold == once.threshold
    assert copied.sentence == once.sentence
    (independent,) = choose(replace(repeated(rows, 20), group=np.arange(6000)), flag)
    assert independent.threshold != once.threshold


def test_first_row_of_each_group_is_independent():
    group = np.array([7, 3, 7, 9, 3, 1])
    assert independent_rows(replace(scored(6), group=group)).tolist() == [0, 1, 3, 5]


# Prior


def with_prior(rows, prior):
    probability = shift_prior(rows.probability, SHARE, prior)
    return replace(rows, probability=probability, weight=class_weights(rows.y, SHARE, prior))


def test_prior_changes_the_threshold_of_precision_but_not_of_recall_and_fpr():
    rows, flags = scored(4000), ("precision>=0.8", "recall>=0.9", "fpr<=0.05")
    for prior in (0.1, 0.7):
        shifted = with_prior(rows, prior)
        before, after = choose(rows, *flags), choose(shifted, *flags)
        for one, other in zip(before[1:], after[1:], strict=True):
            moved = shift_prior(np.array([one.threshold]), SHARE, prior)[0]
            assert other.threshold == pytest.approx(moved, abs=1e-3)
            assert other.sentence == one.sentence
        assert after[0].rates["precision"]["value"] == pytest.approx(0.8, abs=0.06)
        # The rarer hateful memes are, the fewer of the same memes can be flagged.
        assert (after[0].rates["recall"]["value"] < before[0].rates["recall"]["value"]) == (
            prior < SHARE
        )


# Cost


def test_cheapest_threshold_has_the_lowest_cost_of_all():
    rows = scored()
    (point,) = choose(rows, "cost=1:4")

    def cost(threshold):
        flagged = rows.probability > threshold
        return (flagged & (rows.y == 0)).sum() + 4 * (~flagged & (rows.y == 1)).sum()

    assert cost(point.threshold) == min(cost(t) for t in [-1, *rows.probability])
    assert "no guarantee" in point.sentence and not point.guaranteed


def test_dear_misses_lower_the_threshold():
    points = choose(scored(), "cost=9:1", "cost=1:1", "cost=1:9")
    assert points[0].threshold > points[1].threshold > points[2].threshold


def test_extreme_costs_flag_nothing_or_everything():
    rows = scored()
    rows.y[[rows.probability.argmax(), rows.probability.argmin()]] = 0, 1
    none, every = choose(rows, "cost=5000:1", "cost=1:5000")
    assert none.rates["flagged"]["value"] == 0 and none.rates["precision"] is None
    assert every.rates["flagged"]["value"] == 1


def test_reported_cost_is_out_of_fold():
    # On scores without information, the lowest of many costs lies below the true cost.
    shown, fitted = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = replace(scored(60), y=rng.permutation(np.arange(60) % 2), probability=rng.random(60))
        (point,) = choose(rows, "cost=1:1")
        shown.append(float(point.sentence.split("It is ")[1].split()[0]))
        fitted.append(np.mean((rows.probability > point.threshold) != rows.y))
    assert np.mean(fitted) < 0.45 < np.mean(shown)
