"""Submission: requested ids in order, validation, and the CSV files."""

import csv
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.ensemble.submission import (
    predictions_csv,
    prior_warning,
    requested_rows,
    train_positive_share,
    validate_submission,
    write_predictions,
    write_solution,
)
from runtime.errors import UserError

UNUSUAL_IDS = np.array(
    ["007", "7", "a,b", 'say "no"', "two\nlines", " x ", "1e5", "é", "NA"], object
)


@pytest.fixture
def rows():
    return planted.table(count=60).rows


def refusal(rows, probability):
    with pytest.raises(UserError) as error:
        validate_submission(rows, requested_rows(rows), probability)
    return str(error.value)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_requested_rows_are_in_the_order_of_the_solution(rows):
    requested = requested_rows(rows)
    assert rows.order[requested].tolist() == list(range(len(requested)))
    assert set(rows.split[requested]) == {"test"}
    # One test row is not requested.
    assert len(requested) == (rows.split == "test").sum() - 1
    assert requested.tolist() != sorted(requested), "otherwise the order is trivial"


def test_train_rows_are_never_requested(rows):
    order = np.where(rows.split == "train", 0, rows.order)
    assert set(rows.split[requested_rows(replace(rows, order=order))]) == {"test"}


def test_complete_submission_is_valid(rows):
    probability = np.where(rows.split == "test", 0.5, np.nan)
    validate_submission(rows, requested_rows(rows), probability)


def test_repeated_ids_raise_an_error_that_lists_them(rows):
    requested = requested_rows(rows)
    ids = rows.id.copy()
    ids[requested[0]] = ids[requested[1]]
    message = refusal(replace(rows, id=ids), np.full(len(rows), 0.5))
    assert message == f"test ids occur more than once: {ids[requested[1]]}"


def test_ids_may_recur_in_rows_that_are_not_requested(rows):
    ids = np.where(rows.split == "train", rows.id[requested_rows(rows)[0]], rows.id)
    rows = replace(rows, id=ids)
    validate_submission(rows, requested_rows(rows), np.full(len(rows), 0.5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_probabilities_raise_an_error_that_lists_the_ids(rows, value):
    requested = requested_rows(rows)
    probability = np.full(len(rows), 0.5)
    probability[requested[3]] = value
    message = refusal(rows, probability)
    assert message == f"no finite probability for 1 ids: {rows.id[requested[3]]}"


def test_no_requested_ids_raise_an_error(rows):
    none_requested = replace(rows, order=np.full(len(rows), -1))
    assert refusal(none_requested, np.full(len(rows), 0.5)).startswith("no test ids are requested")


def test_labels_are_written_as_0_and_1_with_the_contests_columns(tmp_path):
    columns = {"Image ID": UNUSUAL_IDS[:2], "y": np.array([1, 0])}
    path = write_solution(tmp_path / "s.csv", columns)
    assert path.read_bytes() == b"Image ID,y\n007,1\n7,0\n"


def test_probabilities_have_nine_significant_digits(tmp_path):
    columns = {"id": UNUSUAL_IDS[:2], "label": np.array([1 / 3, 1e-9])}
    path = write_solution(tmp_path / "s.csv", columns)
    assert path.read_bytes() == b"id,label\n007,0.333333333\n7,1e-09\n"


def test_unusual_ids_are_unchanged_by_csv(tmp_path):
    values = np.arange(len(UNUSUAL_IDS)) % 2
    path = write_solution(tmp_path / "s.csv", {"id": UNUSUAL_IDS, "label": values})
    expected = [[name, str(value)] for name, value in zip(UNUSUAL_IDS, values, strict=True)]
    assert read(path) == [["id", "label"], *expected]


def test_predictions_have_probability_and_label_and_equal_predictions_csv(tmp_path):
    scored = UNUSUAL_IDS[2:5], np.array([0.25, 0.5, 1.0]), np.array([False, False, True])
    path = write_predictions(tmp_path / "p.csv", *scored)
    assert read(path) == [
        ["id", "probability", "label"],
        ["a,b", "0.25", "0"],
        ['say "no"', "0.5", "0"],
        ["two\nlines", "1", "1"],
    ]
    assert path.read_text(encoding="utf-8") == predictions_csv(*scored)


def test_train_positive_share_uses_only_train_rows(rows):
    label = np.where(rows.split == "train", rows.group % 5 == 3, 1).astype(np.int8)
    expected = label[rows.split == "train"].mean()
    assert train_positive_share(replace(rows, label=label)) == pytest.approx(expected)


def test_share_far_from_the_prior_gives_a_warning_with_both_shares():
    warning = prior_warning(np.array([True] * 9 + [False]), 0.35)
    assert "90% of the test memes are predicted positive, against an expected 35%" in warning
    assert prior_warning(np.zeros(10, dtype=bool), 0.35).startswith("0% of ")


def test_share_near_the_prior_gives_no_warning():
    assert prior_warning(np.array([True, False] * 5), 0.35) is None
