"""The val offset is fitted only if val rows differ significantly from calibrated probabilities."""

import numpy as np
import pytest
from scipy.special import expit

from features.feature_table import Rows
from heads.decision.val_offset import add_offset, fit_offset, fit_val_offset
from heads.evaluation.out_of_fold import to_logit


def draw(count, shift, seed=0, copies=1):
    """Draw probabilities whose logits are off by `shift`, labels, and groups.

    Each of `count` memes occurs `copies` times with the same label.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=count) * 2
    y = rng.random(count) < expit(logits + shift)
    return expit(logits).repeat(copies), y.repeat(copies), np.arange(count).repeat(copies)


@pytest.mark.parametrize("shift", [-1.0, 0.8])
def test_known_shift_is_found(shift):
    assert fit_offset(*draw(3000, shift)) == pytest.approx(shift, abs=0.2)


@pytest.mark.parametrize("copies", [1, 3])
def test_offset_without_a_shift_is_zero_in_about_95_percent(copies):
    nonzero = [fit_offset(*draw(200, 0.0, seed, copies)) != 0 for seed in range(100)]
    assert 0 < sum(nonzero) < 12


def test_offset_from_a_single_group_of_near_duplicates_is_zero():
    probability, y, _ = draw(2000, 0.8)
    assert fit_offset(probability, y, np.zeros(2000)) == 0


def test_few_rows_give_no_offset_where_many_rows_do():
    assert fit_offset(*draw(2000, 0.4)) != 0
    assert fit_offset(*draw(20, 0.4)) == 0


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50), np.zeros(0)])
def test_rows_of_one_class_or_no_rows_give_no_offset(y):
    assert fit_offset(np.full(len(y), 0.5), y, np.arange(len(y))) == 0


def test_certain_probabilities_give_a_finite_offset():
    predicted, y = np.arange(100) < 55, np.arange(100) < 50
    offset = fit_offset(predicted.astype(float), y, np.arange(100))
    assert offset < 0 and add_offset(predicted.astype(float), offset).mean() == pytest.approx(0.5)


def test_zero_offset_changes_no_bit():
    probability = np.array([0.0, 0.1, np.nan, 1.0])
    assert add_offset(probability, 0.0) is probability


def test_train_rows_are_unchanged_and_val_rows_are_adjusted_out_of_fold():
    probability, y, group = draw(1000, -1.0)
    part, val = np.arange(1000) % 5, np.arange(1000) % 2 == 0
    split = np.where(val, "val", "train").astype(object)
    rows = Rows(group.astype(str), split, y, group, part, group)
    offset, adjusted = fit_val_offset(probability, rows, part)
    assert np.array_equal(adjusted[~val], probability[~val])
    in_part, others = val & (part == 0), val & (part != 0)
    expected = fit_offset(probability[others], y[others], group[others])
    assert np.allclose(to_logit(adjusted[in_part]) - to_logit(probability[in_part]), expected)
    assert offset == fit_offset(probability[val], y[val], group[val]) != expected
