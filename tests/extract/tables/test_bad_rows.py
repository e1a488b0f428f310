"""Bad rows: the run stops and lists them all, or bad test rows are blanked and none is lost."""

import pytest

from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.parsing.problem import Problem
from runtime.errors import UserError

SPLITS = ["train", "train", "val", "test", "test"]


@pytest.fixture
def table(make_table):
    return make_table([f"{n}.png" for n in range(5)], [f"caption {n}" for n in range(5)], SPLITS)


def problem(row, field="image"):
    return Problem("a.csv", row + 2, f"fault of row {row}", row, field)


def test_table_without_problems_is_unchanged(table):
    for on_bad_rows in ("stop", "blank"):
        resolved, positions = resolve_bad_rows(table, [], on_bad_rows)
        assert resolved.rows.equals(table.rows)
        assert positions.tolist() == [0, 1, 2, 3, 4]


def test_stop_lists_every_problem_with_file_and_line_and_suggests_blank(table):
    with pytest.raises(UserError) as error:
        resolve_bad_rows(table, [problem(0), problem(3, "caption")], "stop")
    lines = str(error.value).splitlines()
    assert lines[0].startswith("2 bad rows")
    assert lines[1:3] == ["  a.csv:2: fault of row 0", "  a.csv:5: fault of row 3"]
    assert "--on-bad-rows blank" in lines[3]


@pytest.mark.parametrize("on_bad_rows", ["stop", "blank"])
def test_error_that_cannot_be_blanked_stops_and_does_not_suggest_blank(table, on_bad_rows):
    problems = [problem(3), Problem("a.csv", 9, "the id occurs twice")]
    with pytest.raises(UserError) as error:
        resolve_bad_rows(table, problems, on_bad_rows)
    assert "fault of row 3" in str(error.value) and "twice" in str(error.value)
    assert "--on-bad-rows" not in str(error.value)


def test_blank_retains_test_rows_and_leaves_out_train_and_val_rows(table):
    resolved, positions = resolve_bad_rows(table, [problem(0), problem(2), problem(3)], "blank")
    assert positions.tolist() == [1, 3, 4]
    assert resolved.rows["id"].tolist() == ["1", "3", "4"]
    assert resolved.rows["image"].tolist() == ["1.png", "", "4.png"]
    assert resolved.rows.index.tolist() == [0, 1, 2]


def test_blank_empties_only_the_bad_field(table):
    resolved, _ = resolve_bad_rows(table, [problem(3, "caption"), problem(4, "image")], "blank")
    rows = resolved.rows.set_index("id")
    assert rows.loc["3", ["image", "caption"]].tolist() == ["3.png", ""]
    assert rows.loc["4", ["image", "caption"]].tolist() == ["", "caption 4"]


def test_row_with_two_errors_stays_once_with_both_fields_blank(table):
    resolved, positions = resolve_bad_rows(
        table, [problem(4, "caption"), problem(4, "image")], "blank"
    )
    assert positions.tolist() == [0, 1, 2, 3, 4]
    assert resolved.rows.loc[4, ["image", "caption"]].tolist() == ["", ""]


def test_input_table_is_not_modified(table):
    before = table.rows.copy()
    resolve_bad_rows(table, [problem(0), problem(3)], "blank")
    assert table.rows.equals(before)
    assert (table.id_column, table.label_column) == ("id", "label")
