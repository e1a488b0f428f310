"""FeatureTable: kinds of spaces, and the rows on which metrics are reported."""

import numpy as np
import pytest

from features.feature_table import FeatureTable, Rows, Space

SPLIT = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2, dtype=object)
NO_ROWS = np.zeros(10, bool)


def mask(*rows):
    return np.isin(np.arange(10), rows)


def space(name, seen=NO_ROWS, monitored=NO_ROWS):
    return Space(name, np.zeros((10, 1)), np.zeros((10, 1)), None, seen, monitored, {})


def table(*spaces):
    rows = Rows(SPLIT, SPLIT, *(np.zeros(10),) * 4)
    return FeatureTable(rows, list(spaces), {})


@pytest.fixture
def fine_tuned():
    """Two fine-tuned spaces, each without half of the labelled rows."""
    return [
        space("space_0", seen=mask(4, 5, 6), monitored=mask(7)),
        space("space_1", seen=mask(0, 1, 2), monitored=mask(3)),
    ]


def test_held_out_rows_are_neither_seen_nor_monitored(fine_tuned):
    assert np.flatnonzero(fine_tuned[0].held_out).tolist() == [0, 1, 2, 3, 8, 9]


def test_fine_tuned_spaces_are_one_kind_and_come_first(fine_tuned):
    found = table(*fine_tuned, space("pretrained"), space("lexical")).kinds()
    assert list(found) == ["fine-tuned", "pretrained", "lexical"]
    assert [s.name for s in found["fine-tuned"]] == ["space_0", "space_1"]
    assert [s.name for s in found["pretrained"]] == ["pretrained"]


def test_two_folds_report_all_labelled_rows_and_no_test_rows(fine_tuned):
    assert np.flatnonzero(table(*fine_tuned, space("pretrained")).reported).tolist() == list(
        range(8)
    )


def test_rows_seen_by_the_only_fine_tuned_space_are_not_reported(fine_tuned):
    reported = table(fine_tuned[0], space("pretrained"), space("lexical")).reported
    assert np.flatnonzero(reported).tolist() == [0, 1, 2, 3]


def test_row_monitored_in_one_space_and_seen_in_the_other_is_not_reported(fine_tuned):
    both = space("space_1", seen=mask(0, 1, 2), monitored=mask(3, 4))
    assert not table(fine_tuned[0], both).reported[4]
