"""solution.csv holds every id asked for, once, in the order asked for, spelt as it came."""

import csv
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.ensemble.submission import (
    check_submission,
    predictions_csv,
    prior_warning,
    rows_asked_for,
    share_of_positives,
    write_predictions,
    write_solution,
)
from runtime.errors import UserError

STRANGE = np.array(["007", "7", "a,b", 'say "no"', "two\nlines", " x ", "1e5", "é", "NA"], object)


@pytest.fixture
def rows():
    return planted.table(count=60).rows


def refusal(rows, probability):
    with pytest.raises(UserError) as error:
        check_submission(rows, rows_asked_for(rows), probability)
    return str(error.value)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_come_in_the_order_asked_for_and_no_others(rows):
    asked = rows_asked_for(rows)
    assert rows.order[asked].tolist() == list(range(len(asked)))
    assert set(rows.split[asked]) == {"test"}
    # One test row is not asked for.
    assert len(asked) == (rows.split == "test").sum() - 1
    assert asked.tolist() != sorted(asked), "or else there is no order to keep"


def test_a_place_in_the_solution_does_not_make_a_training_row_asked_for(rows):
    order = np.where(rows.split == "train", 0, rows.order)
    assert set(rows.split[rows_asked_for(replace(rows, order=order))]) == {"test"}


def test_whole_submissions_pass(rows):
    probability = np.where(rows.split == "test", 0.5, np.nan)
    check_submission(rows, rows_asked_for(rows), probability)


def test_repeated_ids_are_refused_by_name(rows):
    asked = rows_asked_for(rows)
    ids = rows.id.copy()
    ids[asked[0]] = ids[asked[1]]
    message = refusal(replace(rows, id=ids), np.full(len(rows), 0.5))
    assert message == f"test ids occur more than once: {ids[asked[1]]}"


def test_an_id_may_recur_outside_the_rows_asked_for(rows):
    ids = np.where(rows.split == "train", rows.id[rows_asked_for(rows)[0]], rows.id)
    rows = replace(rows, id=ids)
    check_submission(rows, rows_asked_for(rows), np.full(len(rows), 0.5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_probabilities_that_are_not_finite_are_refused_by_id(rows, value):
    asked = rows_asked_for(rows)
    probability = np.full(len(rows), 0.5)
    probability[asked[3]] = value
    message = refusal(rows, probability)
    assert message == f"no finite probability for 1 ids: {rows.id[asked[3]]}"


def test_nothing_asked_for_is_refused(rows):
    nothing = replace(rows, order=np.full(len(rows), -1))
    assert refusal(nothing, np.full(len(rows), 0.5)).startswith("no test ids are asked for")


def test_labels_are_written_as_0_and_1_under_the_contests_columns(tmp_path):
    path = write_solution(tmp_path / "s.csv", STRANGE[:2], np.array([1, 0]), "Image ID", "y")
    assert path.read_bytes() == b"Image ID,y\n007,1\n7,0\n"


def test_probabilities_keep_nine_digits_however_small(tmp_path):
    path = write_solution(tmp_path / "s.csv", STRANGE[:2], np.array([1 / 3, 1e-9]), "id", "label")
    assert path.read_bytes() == b"id,label\n007,0.333333333\n7,1e-09\n"


def test_strange_ids_survive_the_way_through_csv(tmp_path):
    values = np.arange(len(STRANGE)) % 2
    path = write_solution(tmp_path / "s.csv", STRANGE, values, "id", "label")
    expected = [[name, str(value)] for name, value in zip(STRANGE, values, strict=True)]
    assert read(path) == [["id", "label"], *expected]


def test_predictions_hold_probability_and_label_and_are_what_predict_prints(tmp_path):
    scored = STRANGE[2:5], np.array([0.25, 0.5, 1.0]), np.array([False, False, True])
    path = write_predictions(tmp_path / "p.csv", *scored)
    assert read(path) == [
        ["id", "probability", "label"],
        ["a,b", "0.25", "0"],
        ['say "no"', "0.5", "0"],
        ["two\nlines", "1", "1"],
    ]
    assert path.read_text(encoding="utf-8") == predictions_csv(*scored)


def test_the_prior_is_that_of_training_rows(rows):
    label = np.where(rows.split == "train", rows.group % 5 == 3, 1).astype(np.int8)
    expected = label[rows.split == "train"].mean()
    assert share_of_positives(replace(rows, label=label)) == pytest.approx(expected)


def test_a_share_far_from_the_prior_is_warned_of_with_both_shares():
    warning = prior_warning(np.array([True] * 9 + [False]), 0.35)
    assert warning.startswith("90% of the test memes are predicted positive, against 35%")
    assert prior_warning(np.zeros(10, dtype=bool), 0.35).startswith("0% of ")


def test_a_share_near_the_prior_is_not_warned_of():
    assert prior_warning(np.array([True, False] * 5), 0.35) is None
