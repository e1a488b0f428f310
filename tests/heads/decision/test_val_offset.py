"""The val offset is the most likely one, shrunk where few val rows or groups support it."""

import numpy as np
import pytest
from scipy.special import expit

from features.feature_table import Rows
from heads.decision.val_offset import (
    MAX_OFFSET,
    PRIOR_DEVIATION,
    add_offset,
    fit_offset,
    fit_val_offset,
)
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


def test_offset_without_a_shift_is_small():
    offsets = [fit_offset(*draw(200, 0.0, seed)) for seed in range(100)]
    assert np.mean(offsets) == pytest.approx(0, abs=0.06)
    assert np.std(offsets) < 0.25


def test_shrinking_lowers_the_error_where_contests_shift_as_assumed():
    shifts = np.random.default_rng(1).normal(size=100) * PRIOR_DEVIATION
    drawn = [draw(40, shift, seed) for seed, shift in enumerate(shifts)]
    shrunk = np.array([fit_offset(*one) for one in drawn])
    # Of ten times as many groups of the same rows, the standard error is too small to shrink.
    unshrunk = np.array(
        [
            fit_offset(*(np.tile(values, 100) for values in one[:2]), np.arange(4000))
            for one in drawn
        ]
    )
    assert np.mean((shrunk - shifts) ** 2) < np.mean((unshrunk - shifts) ** 2)


def test_copies_of_a_meme_count_once():
    probability, y, group = draw(100, 0.8)
    once = fit_offset(probability, y, group)
    assert fit_offset(*(np.tile(values, 5) for values in (probability, y, group))) == (
        pytest.approx(once)
    )
    assert fit_offset(np.tile(probability, 5), np.tile(y, 5), np.arange(500)) > once


def test_offset_from_a_single_group_of_near_duplicates_is_zero():
    probability, y, _ = draw(2000, 0.8)
    assert fit_offset(probability, y, np.zeros(2000)) == 0


def test_few_rows_are_shrunk_more_than_many():
    many, few = draw(2000, 0.8), draw(2000, 0.8)
    few = [values[:40] for values in few]
    unshrunk = fit_offset(*(np.tile(values, 100) for values in few[:2]), np.arange(4000))
    assert 0 < fit_offset(*few) < 0.8 * unshrunk
    assert fit_offset(*many) == pytest.approx(0.8, abs=0.15)


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50), np.zeros(0)])
def test_rows_of_one_class_or_no_rows_give_no_offset(y):
    assert fit_offset(np.full(len(y), 0.5), y, np.arange(len(y))) == 0


def test_certain_probabilities_give_a_finite_offset():
    predicted, y = np.arange(100) < 55, np.arange(100) < 50
    offset = fit_offset(predicted.astype(float), y, np.arange(100))
    assert -MAX_OFFSET < offset < 0


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
