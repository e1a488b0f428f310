"""What becomes of bad rows: all are named, or the test rows are blanked and none is lost."""

import pytest

from extract.data.bad_rows import Problem, resolve_bad_rows
from runtime.errors import UserError

SPLITS = ["train", "train", "val", "test", "test"]


@pytest.fixture
def table(make_table):
    return make_table([f"{n}.png" for n in range(5)], [f"caption {n}" for n in range(5)], SPLITS)


def problem(row, field="image"):
    return Problem("a.csv", row + 2, f"fault of row {row}", row, field)


def test_without_problems_nothing_is_touched(table):
    for on_bad_rows in ("stop", "blank"):
        settled, kept = resolve_bad_rows(table, [], on_bad_rows)
        assert settled.rows.equals(table.rows)
        assert kept.tolist() == [0, 1, 2, 3, 4]


def test_stop_lists_every_problem_with_its_place_and_the_way_out(table):
    with pytest.raises(UserError) as error:
        resolve_bad_rows(table, [problem(0), problem(3, "caption")], "stop")
    lines = str(error.value).splitlines()
    assert lines[0].startswith("2 bad rows")
    assert lines[1:3] == ["  a.csv:2: fault of row 0", "  a.csv:5: fault of row 3"]
    assert "--on-bad-rows blank" in lines[3]


@pytest.mark.parametrize("on_bad_rows", ["stop", "blank"])
def test_a_fault_that_no_blank_can_mend_stops_and_offers_no_blanking(table, on_bad_rows):
    problems = [problem(3), Problem("a.csv", 9, "the id is there twice")]
    with pytest.raises(UserError) as error:
        resolve_bad_rows(table, problems, on_bad_rows)
    assert "fault of row 3" in str(error.value) and "twice" in str(error.value)
    assert "--on-bad-rows" not in str(error.value)


def test_blank_keeps_test_rows_and_leaves_train_and_val_rows_out(table):
    settled, kept = resolve_bad_rows(table, [problem(0), problem(2), problem(3)], "blank")
    assert kept.tolist() == [1, 3, 4]
    assert settled.rows["id"].tolist() == ["1", "3", "4"]
    assert settled.rows["image"].tolist() == ["1.png", "", "4.png"]
    assert settled.rows.index.tolist() == [0, 1, 2]


def test_blank_empties_only_the_field_that_is_bad(table):
    settled, _ = resolve_bad_rows(table, [problem(3, "caption"), problem(4, "image")], "blank")
    rows = settled.rows.set_index("id")
    assert rows.loc["3", ["image", "caption"]].tolist() == ["3.png", ""]
    assert rows.loc["4", ["image", "caption"]].tolist() == ["", "caption 4"]


def test_a_row_with_two_faults_is_kept_once_with_both_blank(table):
    settled, kept = resolve_bad_rows(table, [problem(4, "caption"), problem(4, "image")], "blank")
    assert kept.tolist() == [0, 1, 2, 3, 4]
    assert settled.rows.loc[4, ["image", "caption"]].tolist() == ["", ""]


def test_the_table_given_is_not_changed(table):
    before = table.rows.copy()
    resolve_bad_rows(table, [problem(0), problem(3)], "blank")
    assert table.rows.equals(before)
    assert (table.id_column, table.label_column) == ("id", "label")
