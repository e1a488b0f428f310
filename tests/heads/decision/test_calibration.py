"""Probabilities are moved to what they turn out to mean, never past each other."""

import numpy as np
import pytest
from scipy.special import expit, logit

from heads.decision.calibration import CALIBRATIONS, Calibration, calibrate
from heads.evaluation.metrics import loss
from heads.evaluation.out_of_fold import PARTS

COUNT = 4000
PART = np.arange(COUNT) % PARTS


def draw(seed=0, slope=1.0, intercept=0.0, count=COUNT):
    """Probabilities that calibration by `slope` and `intercept` makes honest, and labels."""
    rng = np.random.default_rng(seed)
    honest = 1.5 * rng.normal(size=count)
    return expit((honest - intercept) / slope), (rng.random(count) < expit(honest)).astype(int)


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"), [(0.25, 0.0, "temperature"), (2.0, -1.5, "sigmoid")]
)
def test_a_known_distortion_is_undone(slope, intercept, kind):
    probability, y = draw(0, slope, intercept)
    found, honest = calibrate(probability, y, PART)
    assert found.kind == kind
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.2)
    undone = draw(0)[0]
    assert loss(y, honest) < loss(y, probability) - 0.05
    assert loss(y, honest) == pytest.approx(loss(y, undone), abs=0.005)


def test_temperature_has_no_intercept_whatever_the_share_of_positives():
    found = CALIBRATIONS["temperature"](*draw(0, 0.5, -2.0))
    assert (found.kind, found.intercept) == ("temperature", 0.0)


def test_what_is_honest_already_is_mostly_left_alone():
    kept = [calibrate(*draw(seed, count=200), PART[:200])[0].kind for seed in range(20)]
    assert kept.count("none") >= 12


@pytest.mark.parametrize("kind", CALIBRATIONS)
@pytest.mark.parametrize("sign", [1, -1])
def test_ranks_are_kept_even_of_what_is_worse_than_chance(kind, sign):
    probability, y = draw(0, sign * 0.7, 0.3)
    found = CALIBRATIONS[kind](probability, y).apply(probability)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(probability))
    np.testing.assert_array_equal(np.sign(np.diff(found)), np.sign(np.diff(probability)))


def test_worse_than_chance_is_not_calibrated_at_all():
    probability, y = draw(0, -0.7)
    found, honest = calibrate(probability, y, PART)
    assert found == Calibration("none")
    np.testing.assert_array_equal(honest, probability)


def test_each_part_is_calibrated_by_what_the_others_choose():
    # One part is distorted the other way around: all the others agree.
    probability, y = draw(0, 0.25)
    odd = PART == 3
    probability[odd] = expit(0.2 * logit(probability[odd]))
    _, honest = calibrate(probability, y, PART)
    for number in range(PARTS):
        own = number == PART
        expected = CALIBRATIONS["temperature"](probability[~own], y[~own])
        np.testing.assert_allclose(honest[own], expected.apply(probability[own]))


def test_flipping_a_parts_labels_leaves_its_own_values_alone():
    probability, y = draw(0, 0.5, 1.0)
    own = PART == 2
    _, before = calibrate(probability, y, PART)
    _, after = calibrate(probability, np.where(own, 1 - y, y), PART)
    np.testing.assert_array_equal(after[own], before[own])
    assert (after[~own] != before[~own]).all()


def test_rows_without_a_probability_stay_without_and_have_no_say():
    probability, y = draw(0, 0.25)
    known = np.arange(COUNT) < 3000
    gaps = np.where(known, probability, np.nan)
    found, honest = calibrate(gaps, y, PART)
    np.testing.assert_array_equal(np.isnan(honest), ~known)
    assert found == calibrate(probability[known], y[known], PART[known])[0]


KNOWN = [
    Calibration("none"),
    Calibration("temperature", 0.5),
    Calibration("sigmoid", 2.0, -1.0),
]


@pytest.mark.parametrize("first", KNOWN)
@pytest.mark.parametrize("last", KNOWN)
def test_two_in_one_step_are_one_after_the_other(first, last):
    probability = np.linspace(0.01, 0.99, 9)
    both = first.then(last)
    np.testing.assert_allclose(both.apply(probability), last.apply(first.apply(probability)))
    assert both.kind == max(first.kind, last.kind, key=list(CALIBRATIONS).index)


@pytest.mark.filterwarnings("error")
def test_certainty_stays_finite():
    y = np.arange(200) % 2
    # Right four times of five, and sure of it each time.
    probability = np.where(np.arange(200) // 5 % 5 == 0, 1.0 - y, y)
    found, honest = calibrate(probability, y, np.arange(200) % PARTS)
    assert np.isfinite(honest).all() and np.isfinite(found.apply(probability)).all()
    assert loss(y, honest) < 1
