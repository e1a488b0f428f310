"""Val memes that are drawn otherwise than train memes move test memes, and only if they say so."""

import numpy as np
import pytest
from scipy.special import expit

from features.feature_table import Rows
from heads.decision.val_offset import add_offset, fit_offset, offset_for_val
from heads.evaluation.out_of_fold import to_logit


def drawn(count, shift, seed=0, copies=1):
    """Probabilities that are right but for `shift` on the logits, labels, and groups.

    Of `count` memes, each is there `copies` times with the same label.
    """
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=count) * 2
    y = rng.random(count) < expit(logits + shift)
    return expit(logits).repeat(copies), y.repeat(copies), np.arange(count).repeat(copies)


@pytest.mark.parametrize("shift", [-1.0, 0.8])
def test_a_known_shift_is_found(shift):
    assert fit_offset(*drawn(3000, shift)) == pytest.approx(shift, abs=0.2)


@pytest.mark.parametrize("copies", [1, 3])
def test_without_a_shift_nothing_is_moved_nineteen_times_of_twenty(copies):
    moved = [fit_offset(*drawn(200, 0.0, seed, copies)) != 0 for seed in range(100)]
    assert 0 < sum(moved) < 12


def test_memes_that_are_all_near_duplicates_are_one_witness():
    probability, y, _ = drawn(2000, 0.8)
    assert fit_offset(probability, y, np.zeros(2000)) == 0


def test_few_rows_move_nothing_that_many_rows_would():
    assert fit_offset(*drawn(2000, 0.4)) != 0
    assert fit_offset(*drawn(20, 0.4)) == 0


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50), np.zeros(0)])
def test_rows_of_one_class_or_none_move_nothing(y):
    assert fit_offset(np.full(len(y), 0.5), y, np.arange(len(y))) == 0


def test_an_ensemble_too_sure_of_too_many_memes_is_no_trouble():
    said, y = np.arange(100) < 55, np.arange(100) < 50
    offset = fit_offset(said.astype(float), y, np.arange(100))
    assert offset < 0 and add_offset(said.astype(float), offset).mean() == pytest.approx(0.5)


def test_no_offset_keeps_every_bit():
    probability = np.array([0.0, 0.1, np.nan, 1.0])
    assert add_offset(probability, 0.0) is probability


def test_train_rows_stay_and_a_val_rows_own_part_has_no_say():
    probability, y, group = drawn(1000, -1.0)
    part, val = np.arange(1000) % 5, np.arange(1000) % 2 == 0
    split = np.where(val, "val", "train").astype(object)
    rows = Rows(group.astype(str), split, y, group, part, group)
    offset, honest = offset_for_val(probability, rows, part)
    assert np.array_equal(honest[~val], probability[~val])
    own, others = val & (part == 0), val & (part != 0)
    expected = fit_offset(probability[others], y[others], group[others])
    assert np.allclose(to_logit(honest[own]) - to_logit(probability[own]), expected)
    assert offset == fit_offset(probability[val], y[val], group[val]) != expected
