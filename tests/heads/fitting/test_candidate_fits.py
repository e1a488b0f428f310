"""The rows that fits are fitted on, score, and are compared on."""

import numpy as np
import planted
import pytest
from planted import head_inputs

from heads.evaluation.out_of_fold import PARTS, assign_parts
from heads.fitting.candidate_fits import compared_rows, cross_validation_splits

FITTED_ON = ("seen", "unseen", "all")


@pytest.fixture(scope="module")
def features():
    return planted.table("linear")


@pytest.mark.parametrize("fitted_on", FITTED_ON)
@pytest.mark.parametrize("name", ["space_0", "space_1", "pretrained"])
def test_fits_use_the_rows_of_fitted_on(features, name, fitted_on):
    rows, part = features.rows, assign_parts(features.rows, 0)
    [space] = head_inputs(features, names=[name])
    found = cross_validation_splits(space, fitted_on, part)
    if fitted_on == "seen":
        np.testing.assert_array_equal(found, [(space.seen, space.held_out)])
        return
    usable = rows.labelled if fitted_on == "all" else rows.labelled & ~space.seen
    assert len(found) == PARTS
    for number, (fitted, _) in enumerate(found):
        np.testing.assert_array_equal(fitted, usable & (part != number))


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_fits_on_a_huge_table_use_evenly_spaced_rows(features, monkeypatch, fitted_on):
    part = assign_parts(features.rows, 0)
    [space] = head_inputs(features, names=["space_0"])
    whole = cross_validation_splits(space, fitted_on, part)
    monkeypatch.setattr("heads.fitting.candidate_fits.MAX_ROWS_PER_FIT", 20)
    sampled = cross_validation_splits(space, fitted_on, part)
    for (few, scored), (every, expected) in zip(sampled, whole, strict=True):
        assert few.sum() == 20 < every.sum()
        assert not (few & ~every).any()
        positions = np.searchsorted(np.flatnonzero(every), np.flatnonzero(few))
        assert np.diff(positions).max() <= every.sum() / 19 + 1
        np.testing.assert_array_equal(scored, expected)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_splits_score_every_held_out_row_once_and_share_no_group_with_it(features, fitted_on):
    rows, part = features.rows, assign_parts(features.rows, 0)
    for space in head_inputs(features):
        assert (~space.held_out & rows.labelled & ~space.seen).any(), "some rows are monitored"
        found = cross_validation_splits(space, fitted_on, part)
        times_scored = sum(scored.astype(int) for _, scored in found)
        np.testing.assert_array_equal(times_scored, space.held_out)
        for fitted, scored in found:
            assert not set(rows.group[fitted]) & set(rows.group[scored])
            assert not (fitted & ~rows.labelled).any()


@pytest.mark.parametrize("names", [planted.ONE_SPACE, planted.TWO_SPACES])
def test_candidates_are_compared_on_all_of_a_few_rows_and_on_whole_fits_of_many(
    features, names, monkeypatch
):
    part, spaces = assign_parts(features.rows, 0), head_inputs(features, names=names)
    np.testing.assert_array_equal(compared_rows(spaces, part), features.rows.labelled)
    monkeypatch.setattr("heads.fitting.candidate_fits.COMPARED_ON_ALL", len(part) // 2)
    compared = compared_rows(spaces, part)
    if len(names) == 1:
        np.testing.assert_array_equal(compared, (part == 0) | (part == 1))
    else:
        np.testing.assert_array_equal(compared, spaces[0].held_out)
    for space in spaces:
        for _, scored in cross_validation_splits(space, "all", part):
            assert compared[scored].all() or not compared[scored].any()


def test_many_compared_rows_are_evenly_spaced(features, monkeypatch):
    part, spaces = (
        assign_parts(features.rows, 0),
        head_inputs(features, names=planted.ONE_SPACE),
    )
    monkeypatch.setattr("heads.fitting.candidate_fits.COMPARED_ON_ALL", 0)
    whole = compared_rows(spaces, part)
    monkeypatch.setattr("heads.fitting.candidate_fits.MAX_COMPARED", 20)
    few = compared_rows(spaces, part)
    assert few.sum() == 20
    assert not (few & ~whole).any()
