"""Choices for a part are made on the other parts, and no part splits near-duplicates."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from heads.evaluation.metrics import loss
from heads.evaluation.out_of_fold import PARTS, by_part, choose, cut_parts, mean_logit
from runtime.errors import UserError


def relabelled(rows, label):
    return replace(rows, label=np.asarray(label).astype(np.int8))


# Parts


@pytest.mark.parametrize("seed", range(3))
def test_parts_cover_the_labelled_rows_and_never_split_a_group(seed):
    rows = planted.table().rows
    part = cut_parts(rows, seed)
    np.testing.assert_array_equal(part >= 0, rows.labelled)
    assert set(part) == {-1, *range(PARTS)}
    for group in np.unique(rows.group):
        assert len(set(part[(rows.group == group) & rows.labelled])) <= 1


def test_parts_hold_both_classes_in_like_shares():
    rows = planted.table().rows
    rare = relabelled(rows, (rows.label == 1) & (rows.group % 3 == 0))
    part = cut_parts(rare, 0)
    shares = [rare.label[part == number].mean() for number in range(PARTS)]
    assert 0 < rare.label[rare.labelled].mean() < 0.25
    assert max(shares) - min(shares) < 0.06


def test_the_labels_of_test_rows_do_not_move_the_parts():
    known, unknown = (planted.table(test_labels=flag).rows for flag in (True, False))
    np.testing.assert_array_equal(cut_parts(known, 0), cut_parts(unknown, 0))


def test_parts_follow_their_seed():
    rows = planted.table().rows
    np.testing.assert_array_equal(cut_parts(rows, 1), cut_parts(rows, 1))
    assert (cut_parts(rows, 1) != cut_parts(rows, 2)).any()


def test_a_class_that_is_all_in_a_few_groups_stops_with_the_counts():
    rows = planted.table().rows
    few = np.flatnonzero(rows.labelled)[:12]
    label, group = np.zeros(len(rows)), rows.group.copy()
    # A dozen rows, but they are only two observations.
    label[few], group[few] = 1, np.where(np.arange(12) < 6, group.max() + 1, group.max() + 2)
    with pytest.raises(UserError, match=r"\d+ hold negative and 2 positive ones; heads need 5"):
        cut_parts(replace(relabelled(rows, label), group=group), 0)


# Filling part by part


def test_no_part_is_handed_its_own_rows_and_none_the_unknown_ones():
    part = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, -1])
    known = np.ones(11, dtype=bool)
    known[7] = False
    handed = {}

    def make(others, own):
        handed[part[own][0]] = others, own
        return own * 10.0

    filled = by_part(part, known, make)
    for number, (others, own) in handed.items():
        assert set(part[own]) == {number}
        assert set(others) | set(own) == set(range(11)) - {7, 10}
        assert not set(others) & set(own)
    expected = np.arange(11) * 10.0
    expected[[7, 10]] = np.nan
    np.testing.assert_array_equal(filled, expected)


def test_a_part_without_known_rows_is_left_out_not_asked_for_nothing():
    part, known = np.array([0, 1, 1]), np.array([False, True, True])
    np.testing.assert_array_equal(
        by_part(part, known, lambda others, own: np.full(len(own), len(own))), [np.nan, 2, 2]
    )


# Choosing


@pytest.fixture
def told():
    """y, part, and f(strength (N,)) -> probabilities that lean to the label by as many logits."""
    rng = np.random.default_rng(0)
    y, part = rng.integers(0, 2, 200), np.arange(200) % PARTS
    return y, part, lambda strength: expit(strength * (2 * y - 1))


@pytest.mark.parametrize("number", range(PARTS))
def test_a_part_has_no_say_in_which_candidate_is_reported_on_it(told, number):
    y, part, predicted = told
    steady = predicted(np.ones(200))
    # Best over all, but only thanks to one part.
    lucky = predicted(np.where(part == number, 8.0, 0.9))
    best, honest = choose([steady, lucky], y, part)
    assert best == 1
    own = part == number
    np.testing.assert_array_equal(honest[own], steady[own])
    np.testing.assert_array_equal(honest[~own], lucky[~own])


def test_flipping_a_parts_labels_leaves_its_own_values_alone(told):
    y, part, _ = told
    rng = np.random.default_rng(1)
    candidates = list(rng.random((8, 200)))
    _, before = choose(candidates, y, part)
    changed = 0
    for number in range(PARTS):
        own = part == number
        _, after = choose(candidates, np.where(own, 1 - y, y), part)
        np.testing.assert_array_equal(after[own], before[own])
        changed += (after != before).any()
    assert changed, "or else labels do not matter at all"


def test_of_equals_the_first_wins(told):
    y, part, predicted = told
    assert choose([predicted(np.ones(200)), predicted(np.ones(200))], y, part)[0] == 0


def test_rows_without_a_candidate_stay_without(told):
    y, part, predicted = told
    known = np.arange(200) < 150
    candidates = [np.where(known, predicted(np.full(200, s)), np.nan) for s in (0.5, 2.0)]
    best, honest = choose(candidates, y, part)
    assert best == 1
    np.testing.assert_array_equal(honest, candidates[1])


# Losses and means


def test_the_loss_is_scikit_learns():
    rng = np.random.default_rng(0)
    y, probability = rng.integers(0, 2, 50), rng.random(50)
    assert loss(y, probability) == pytest.approx(log_loss(y, probability))


def test_certainty_that_is_wrong_costs_much_but_not_everything():
    cost = loss(np.array([1, 0]), np.array([0.0, 1.0]))
    assert 10 < cost < 20
    assert loss(np.array([1, 0]), np.array([1.0, 0.0])) == 0


def test_the_mean_is_taken_on_the_logit_scale():
    found = mean_logit([np.array([0.5, 0.9]), np.array([expit(2.0), 0.1])])
    np.testing.assert_allclose(found, [expit(1.0), 0.5])


def test_who_has_no_say_is_left_out_of_the_mean():
    nan = np.nan
    found = mean_logit([np.array([0.2, nan, nan]), np.array([nan, 0.7, nan])])
    np.testing.assert_allclose(found, [0.2, 0.7, nan])


@pytest.mark.filterwarnings("error")
def test_certainty_stays_finite():
    found = mean_logit([np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])])
    assert (found >= 0).all() and (found <= 1).all()
    assert found[2] == pytest.approx(0.5)
