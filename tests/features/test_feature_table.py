"""Which spaces are alike, and on which rows a figure is honest."""

import numpy as np
import pytest

from features.feature_table import FeatureTable, Rows, Space

SPLIT = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2, dtype=object)
NOBODY = np.zeros(10, bool)


def rows_at(*places):
    return np.isin(np.arange(10), places)


def space(name, seen=NOBODY, monitored=NOBODY):
    return Space(name, np.zeros((10, 1)), np.zeros((10, 1)), None, seen, monitored, {})


def table(*spaces):
    rows = Rows(SPLIT, SPLIT, *(np.zeros(10),) * 4)
    return FeatureTable(rows, list(spaces), {})


@pytest.fixture
def tuned():
    """Two halves of the labelled rows, each left out by one space."""
    return [
        space("space_0", seen=rows_at(4, 5, 6), monitored=rows_at(7)),
        space("space_1", seen=rows_at(0, 1, 2), monitored=rows_at(3)),
    ]


def test_monitored_rows_are_touched_as_fitted_ones_are(tuned):
    assert np.flatnonzero(tuned[0].untouched).tolist() == [0, 1, 2, 3, 8, 9]


def test_fine_tuned_spaces_are_of_one_kind_and_come_first(tuned):
    found = table(*tuned, space("pretrained"), space("lexical")).kinds()
    assert list(found) == ["fine-tuned", "pretrained", "lexical"]
    assert [s.name for s in found["fine-tuned"]] == ["space_0", "space_1"]
    assert [s.name for s in found["pretrained"]] == ["pretrained"]


def test_with_two_folds_all_labelled_rows_are_reported_and_no_test_row(tuned):
    assert np.flatnonzero(table(*tuned, space("pretrained")).reported).tolist() == list(range(8))


def test_what_the_only_fine_tuned_space_saw_is_not_reported_for_all_that_others_did_not(tuned):
    reported = table(tuned[0], space("pretrained"), space("lexical")).reported
    assert np.flatnonzero(reported).tolist() == [0, 1, 2, 3]


def test_a_row_monitored_by_one_space_and_seen_by_the_other_is_not_reported(tuned):
    both = space("space_1", seen=rows_at(0, 1, 2), monitored=rows_at(3, 4))
    assert not table(tuned[0], both).reported[4]
