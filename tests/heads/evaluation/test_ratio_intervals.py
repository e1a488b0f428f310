"""Ratios of weighted sums, with intervals by group."""

import numpy as np
import pytest

from heads.evaluation.bootstrap import percentile_interval, resampled
from heads.evaluation.ratio_intervals import ScoredRows, ratios_with_intervals


def scored(group, weight=None):
    count = len(group)
    weight = np.ones(count) if weight is None else weight
    return ScoredRows(np.zeros(count), np.zeros(count), group, weight, 0)


def test_values_and_intervals_are_those_of_the_resampled_means():
    rng = np.random.default_rng(0)
    over, group, weight = rng.random(60), np.arange(60) // 3, rng.random(60)
    found = ratios_with_intervals({"mean": (over, np.ones(60))}, scored(group, weight))["mean"]
    assert found["value"] == pytest.approx(np.average(over, weights=weight))
    drawn = resampled(lambda times: times * weight, group, 0)
    assert found["interval"] == pytest.approx(
        percentile_interval([np.average(over, weights=one) for one in drawn])
    )


@pytest.mark.filterwarnings("error")
def test_zero_of_zero_is_undefined_and_the_order_is_kept():
    nothing, everything = np.zeros(10), np.ones(10)
    ratios = {"none": (nothing, nothing), "all": (everything, everything)}
    found = ratios_with_intervals(ratios, scored(np.arange(10)))
    assert list(found) == ["none", "all"]
    assert found == {"none": None, "all": {"value": 1.0, "interval": [1.0, 1.0]}}
