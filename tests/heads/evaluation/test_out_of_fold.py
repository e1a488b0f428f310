"""Selection for a part uses only the other parts, and parts do not split near-duplicates."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from features.feature_table import Rows
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.out_of_fold import (
    PARTS,
    assign_parts,
    count_parts,
    mean_logit,
    out_of_fold_values,
    select_by_log_loss,
)
from runtime.errors import UserError


def relabelled(rows, label):
    return replace(rows, label=np.asarray(label).astype(np.int8))


# Parts


@pytest.mark.parametrize("seed", range(3))
def test_parts_cover_the_labelled_rows_without_splitting_groups(seed):
    rows = planted.table().rows
    part = assign_parts(rows, seed)
    np.testing.assert_array_equal(part >= 0, rows.labelled)
    assert set(part) == {-1, *range(PARTS)}
    for group in np.unique(rows.group):
        assert len(set(part[(rows.group == group) & rows.labelled])) <= 1


@pytest.mark.parametrize(
    ("count", "groups", "parts"),
    [(499, 499, 5), (500, 500, 10), (5000, 5000, 10), (5001, 5001, 5), (500, 18, 5)],
)
def test_there_are_ten_parts_unless_rows_or_groups_are_too_few_or_rows_are_many(
    count, groups, parts
):
    label = np.arange(count) % groups % 2
    split = np.array(["train"] * count, object)
    rows = Rows(split, split, label.astype(np.int8), np.arange(count) % groups, None, None)
    assert count_parts(assign_parts(rows, 0)) == parts


def test_parts_have_similar_shares_of_positives():
    rows = planted.table().rows
    rare = relabelled(rows, (rows.label == 1) & (rows.group % 3 == 0))
    part = assign_parts(rare, 0)
    shares = [rare.label[part == number].mean() for number in range(PARTS)]
    assert 0 < rare.label[rare.labelled].mean() < 0.25
    assert max(shares) - min(shares) < 0.06


def test_parts_do_not_depend_on_test_labels():
    known, unknown = (planted.table(test_labels=flag).rows for flag in (True, False))
    np.testing.assert_array_equal(assign_parts(known, 0), assign_parts(unknown, 0))


def test_parts_depend_on_the_seed():
    rows = planted.table().rows
    np.testing.assert_array_equal(assign_parts(rows, 1), assign_parts(rows, 1))
    assert (assign_parts(rows, 1) != assign_parts(rows, 2)).any()


def test_class_in_too_few_groups_raises_an_error_with_the_counts():
    rows = planted.table().rows
    few = np.flatnonzero(rows.labelled)[:12]
    label, group = np.zeros(len(rows)), rows.group.copy()
    # A dozen rows in only two groups.
    label[few], group[few] = 1, np.where(np.arange(12) < 6, group.max() + 1, group.max() + 2)
    with pytest.raises(
        UserError, match=r"\d+ contain negative rows and 2 positive rows\. Heads need 5"
    ):
        assign_parts(replace(relabelled(rows, label), group=group), 0)


# Out-of-fold values


def test_values_of_a_part_are_computed_from_known_rows_of_other_parts():
    part = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, -1])
    known = np.ones(11, dtype=bool)
    known[7] = False
    calls = {}

    def fit_predict(others, in_part):
        calls[part[in_part][0]] = others, in_part
        return in_part * 10.0

    values = out_of_fold_values(part, known, fit_predict)
    for number, (others, in_part) in calls.items():
        assert set(part[in_part]) == {number}
        assert set(others) | set(in_part) == set(range(11)) - {7, 10}
        assert not set(others) & set(in_part)
    expected = np.arange(11) * 10.0
    expected[[7, 10]] = np.nan
    np.testing.assert_array_equal(values, expected)


def test_part_without_known_rows_is_skipped():
    part, known = np.array([0, 1, 1]), np.array([False, True, True])
    values = out_of_fold_values(part, known, lambda _, in_part: np.full(len(in_part), len(in_part)))
    np.testing.assert_array_equal(values, [np.nan, 2, 2])


# Selection


@pytest.fixture
def informed():
    """y, part, and f(strength (N,)) -> probabilities with logit +strength or -strength by label."""
    rng = np.random.default_rng(0)
    y, part = rng.integers(0, 2, 200), np.arange(200) % PARTS
    return y, part, lambda strength: expit(strength * (2 * y - 1))


@pytest.mark.parametrize("number", range(PARTS))
def test_candidate_reported_for_a_part_is_selected_without_it(informed, number):
    y, part, predicted = informed
    steady = predicted(np.ones(200))
    # Best overall, but only because of one part.
    best_in_one_part = predicted(np.where(part == number, 8.0, 0.9))
    best, out_of_fold = select_by_log_loss([steady, best_in_one_part], y, part)
    assert best == 1
    in_part = part == number
    np.testing.assert_array_equal(out_of_fold[in_part], steady[in_part])
    np.testing.assert_array_equal(out_of_fold[~in_part], best_in_one_part[~in_part])


def test_values_of_a_part_do_not_depend_on_its_labels(informed):
    y, part, _ = informed
    rng = np.random.default_rng(1)
    candidates = list(rng.random((8, 200)))
    _, before = select_by_log_loss(candidates, y, part)
    changed = 0
    for number in range(PARTS):
        in_part = part == number
        _, after = select_by_log_loss(candidates, np.where(in_part, 1 - y, y), part)
        np.testing.assert_array_equal(after[in_part], before[in_part])
        changed += (after != before).any()
    assert changed, "otherwise labels do not matter at all"


def test_ties_go_to_the_first_candidate(informed):
    y, part, predicted = informed
    assert select_by_log_loss([predicted(np.ones(200)), predicted(np.ones(200))], y, part)[0] == 0


def test_rows_without_a_probability_stay_nan(informed):
    y, part, predicted = informed
    known = np.arange(200) < 150
    candidates = [np.where(known, predicted(np.full(200, s)), np.nan) for s in (0.5, 2.0)]
    best, out_of_fold = select_by_log_loss(candidates, y, part)
    assert best == 1
    np.testing.assert_array_equal(out_of_fold, candidates[1])


# Losses and means


def test_log_loss_equals_scikit_learns():
    rng = np.random.default_rng(0)
    y, probability = rng.integers(0, 2, 50), rng.random(50)
    assert mean_log_loss(y, probability) == pytest.approx(log_loss(y, probability))


def test_log_loss_of_wrong_certainty_is_large_but_finite():
    cost = mean_log_loss(np.array([1, 0]), np.array([0.0, 1.0]))
    assert 10 < cost < 20
    assert mean_log_loss(np.array([1, 0]), np.array([1.0, 0.0])) == 0


def test_mean_is_taken_on_the_logit_scale():
    found = mean_logit([np.array([0.5, 0.9]), np.array([expit(2.0), 0.1])])
    np.testing.assert_allclose(found, [expit(1.0), 0.5])


def test_nan_is_ignored_in_the_mean():
    nan = np.nan
    found = mean_logit([np.array([0.2, nan, nan]), np.array([nan, 0.7, nan])])
    np.testing.assert_allclose(found, [0.2, 0.7, nan])


@pytest.mark.filterwarnings("error")
def test_mean_of_0_and_1_is_finite():
    found = mean_logit([np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])])
    assert (found >= 0).all() and (found <= 1).all()
    assert found[2] == pytest.approx(0.5)
