"""Calibration undoes distortions of probabilities and preserves their ranks."""

import numpy as np
import pytest
from scipy.special import expit, logit

from heads.decision.calibration import CALIBRATIONS, Calibration, calibrate
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.out_of_fold import PARTS

COUNT = 4000
PART = np.arange(COUNT) % PARTS


def draw(seed=0, slope=1.0, intercept=0.0, count=COUNT):
    """Draw labels, and probabilities that `slope` and `intercept` calibrate perfectly."""
    rng = np.random.default_rng(seed)
    true_logit = 1.5 * rng.normal(size=count)
    y = (rng.random(count) < expit(true_logit)).astype(int)
    return expit((true_logit - intercept) / slope), y


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"), [(0.25, 0.0, "temperature"), (2.0, -1.5, "sigmoid")]
)
def test_known_distortion_is_undone(slope, intercept, kind):
    probability, y = draw(0, slope, intercept)
    found, out_of_fold = calibrate(probability, y, PART)
    assert found.kind == kind
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.2)
    undistorted = draw(0)[0]
    assert mean_log_loss(y, out_of_fold) < mean_log_loss(y, probability) - 0.05
    assert mean_log_loss(y, out_of_fold) == pytest.approx(mean_log_loss(y, undistorted), abs=0.005)


def test_temperature_has_no_intercept_whatever_the_share_of_positives():
    found = CALIBRATIONS["temperature"](*draw(0, 0.5, -2.0))
    assert (found.kind, found.intercept) == ("temperature", 0.0)


def test_calibrated_probabilities_are_mostly_unchanged():
    kinds = [calibrate(*draw(seed, count=200), PART[:200])[0].kind for seed in range(20)]
    assert kinds.count("none") >= 12


@pytest.mark.parametrize("kind", CALIBRATIONS)
@pytest.mark.parametrize("sign", [1, -1])
def test_ranks_are_preserved_even_if_worse_than_chance(kind, sign):
    probability, y = draw(0, sign * 0.7, 0.3)
    found = CALIBRATIONS[kind](probability, y).apply(probability)
    np.testing.assert_array_equal(np.argsort(found), np.argsort(probability))
    np.testing.assert_array_equal(np.sign(np.diff(found)), np.sign(np.diff(probability)))


def test_probabilities_worse_than_chance_are_not_calibrated():
    probability, y = draw(0, -0.7)
    found, out_of_fold = calibrate(probability, y, PART)
    assert found == Calibration("none")
    np.testing.assert_array_equal(out_of_fold, probability)


def test_calibration_of_a_part_is_fitted_on_the_others():
    # One part is distorted in the opposite direction to all others.
    probability, y = draw(0, 0.25)
    in_part_3 = PART == 3
    probability[in_part_3] = expit(0.2 * logit(probability[in_part_3]))
    _, out_of_fold = calibrate(probability, y, PART)
    for number in range(PARTS):
        in_part = number == PART
        expected = CALIBRATIONS["temperature"](probability[~in_part], y[~in_part])
        np.testing.assert_allclose(out_of_fold[in_part], expected.apply(probability[in_part]))


def test_values_of_a_part_do_not_depend_on_its_labels():
    probability, y = draw(0, 0.5, 1.0)
    in_part = PART == 2
    _, before = calibrate(probability, y, PART)
    _, after = calibrate(probability, np.where(in_part, 1 - y, y), PART)
    np.testing.assert_array_equal(after[in_part], before[in_part])
    assert (after[~in_part] != before[~in_part]).all()


def test_rows_without_a_probability_stay_nan_and_are_ignored():
    probability, y = draw(0, 0.25)
    known = np.arange(COUNT) < 3000
    gaps = np.where(known, probability, np.nan)
    found, out_of_fold = calibrate(gaps, y, PART)
    np.testing.assert_array_equal(np.isnan(out_of_fold), ~known)
    assert found == calibrate(probability[known], y[known], PART[known])[0]


EXAMPLES = [
    Calibration("none"),
    Calibration("temperature", 0.5),
    Calibration("sigmoid", 2.0, -1.0),
]


@pytest.mark.parametrize("first", EXAMPLES)
@pytest.mark.parametrize("last", EXAMPLES)
def test_followed_by_equals_applying_both(first, last):
    probability = np.linspace(0.01, 0.99, 9)
    both = first.followed_by(last)
    np.testing.assert_allclose(both.apply(probability), last.apply(first.apply(probability)))
    assert both.kind == max(first.kind, last.kind, key=list(CALIBRATIONS).index)


@pytest.mark.filterwarnings("error")
def test_calibrated_certainty_is_finite():
    y = np.arange(200) % 2
    # Right four times in five, and always certain.
    probability = np.where(np.arange(200) // 5 % 5 == 0, 1.0 - y, y)
    found, out_of_fold = calibrate(probability, y, np.arange(200) % PARTS)
    assert np.isfinite(out_of_fold).all() and np.isfinite(found.apply(probability)).all()
    assert mean_log_loss(y, out_of_fold) < 1
