"""Read the user's CSV, TSV or JSONL files into one checked MemeTable."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from extract.data.bad_rows import Problem
from extract.data.columns import RECOGNISE_ALL, SPLIT_NAMES, Columns
from extract.data.csv_jsonl import Table, read_table
from extract.data.labels import read_label
from extract.data.layouts import Sources, find_image, find_sources
from extract.data.meme_table import MemeTable
from extract.data.splits import Row, read_rows
from extract.data.text_cells import read_caption, read_id
from runtime.errors import UserError, quoted, quoted_list

ReadResult = tuple[MemeTable, list[Problem], list[str]]
"""Table, problems of single rows, and notes for the user."""


def read_memes(data: Path, columns: Columns = RECOGNISE_ALL) -> ReadResult:
    """Read the train, val and test memes of a folder, or of one file with a split column.

    Returns the table (rows in the order train, val, test; `image` is an existing path inside the
    data folder, or empty), the problems of single rows, and notes for the user. The caller adds
    the problems of the images themselves and calls `extract.data.bad_rows.resolve_bad_rows`.

    An image name without folder is searched in the data folder, then in img, images, imgs and the
    folders named after its split; one without suffix also with .png, .jpg and .jpeg.

    Raises UserError if the data as a whole cannot be used: no such path, no train or test rows, an
    empty table, missing or ambiguous columns, or only one class in the train labels.
    """
    sources = find_sources(data)
    rows, problems, notes = read_rows(sources, columns)
    for split in ("train", "test"):
        _require_rows(split, rows, problems, sources)
    frame, faults = _validate(rows, sources.root)
    _require_two_classes(rows, frame)
    first_test = next(row for row in rows if row.split == "test")
    table = MemeTable(frame, first_test.columns.id, rows[0].columns.label)
    if sources.submission is None:
        return table, _sorted(problems + faults), notes
    submission = read_table(sources.submission)
    table, unknown_ids, omitted = _apply_sample_submission(submission, table)
    return table, _sorted(problems + faults + unknown_ids), notes + omitted


def read_unlabelled(data: Path, columns: Columns = RECOGNISE_ALL) -> ReadResult:
    """Read memes to score: one file, the test tables of a folder, or its only table.

    Returns the same as `read_memes`. The split of every row is test, in file order. A split column
    and a sample submission are ignored. Invalid and missing labels become -1. Raises UserError as
    `read_memes` does, except for errors of train rows and labels.
    """
    found = find_sources(data)
    tables = [(path, "test") for path, split in found.tables if split in ("test", None)]
    if not tables:
        raise UserError(f"{data} has no test table. Give one file, or name it test.csv.")
    unread = found.unread + [path for path, split in found.tables if split in ("train", "val")]
    sources = replace(found, tables=tables, unread=unread)
    rows, problems, notes = read_rows(sources, replace(columns, split=None))
    _require_rows("test", rows, problems, sources)
    frame, faults = _validate(rows, found.root, "label")
    table = MemeTable(frame, rows[0].columns.id, rows[0].columns.label or "label")
    return table, _sorted(problems + faults), notes


def _validate(
    rows: Sequence[Row], root: Path, lenient: str = ""
) -> tuple[pd.DataFrame, list[Problem]]:
    """Validate every cell. An invalid one becomes empty or -1, and a problem unless `lenient`."""
    cells = {
        "id": [read_id(row.id) for row in rows],
        "image": [find_image(root, row.image, _image_folders(row)) for row in rows],
        "text": [read_caption(row.text) for row in rows],
        "label": [read_label(row.label, row.split) for row in rows],
    }
    values = {role: [value for value, _ in column] for role, column in cells.items()}
    faults = [_faults(rows, column, role) for role, column in cells.items() if role != lenient]
    frame = pd.DataFrame(
        {
            "id": values["id"],
            "split": [row.split for row in rows],
            "image": values["image"],
            "caption": values["text"],
            "label": np.array(values["label"], dtype=np.int8),
            "order": _test_positions(rows),
            "file": [row.file for row in rows],
            "line": np.array([row.line for row in rows], dtype=np.int64),
        }
    )
    return frame, [problem for column in faults for problem in column]


def _faults(
    rows: Sequence[Row], cells: Sequence[tuple[object, str | None]], role: str
) -> Iterator[Problem]:
    field = {"image": "image", "text": "caption"}.get(role)
    for position, (row, (_, fault)) in enumerate(zip(rows, cells, strict=True)):
        if fault is not None:
            message = f"column {getattr(row.columns, role)}: {fault}"
            yield Problem(row.file, row.line, message, position, field)


def _image_folders(row: Row) -> list[str]:
    names = dict.fromkeys((row.split_name, row.split))
    return ["img", "images", "imgs", *(f"{n}{end}" for n in names for end in ("", "_images"))]


def _test_positions(rows: Sequence[Row]) -> np.ndarray:
    test = np.array([row.split == "test" for row in rows])
    return np.where(test, np.cumsum(test) - 1, -1).astype(np.int32)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def _require_rows(split: str, rows: list[Row], problems: list[Problem], sources: Sources) -> None:
    if any(row.split == split for row in rows):
        return
    names = [name for name, meaning in SPLIT_NAMES.items() if meaning == split]
    found = quoted_list(path.name for path, _ in sources.tables) or "no such table"
    raise UserError(
        f"no {split} rows in {sources.root}: found {found}. Looked for a file (.csv, .tsv, "
        f".jsonl) or a split column with one of these names: {', '.join(names)}."
        + "".join(f"\n  {problem}" for problem in problems)
    )


def _require_two_classes(rows: list[Row], frame: pd.DataFrame) -> None:
    labels = frame["label"][frame["split"] == "train"]
    zeros, ones = int((labels == 0).sum()), int((labels == 1).sum())
    # Invalid labels may be the cause. They are reported later, with the other problems.
    if zeros + ones == len(labels) and not (zeros and ones):
        raise UserError(
            f"{rows[0].file}: column {rows[0].columns.label} has only one class in train: "
            f"{zeros} labels are 0 and {ones} are 1; both are needed."
        )


def _apply_sample_submission(
    submission: Table, table: MemeTable
) -> tuple[MemeTable, list[Problem], list[str]]:
    """Take the ids to predict, their order and the column names from the sample submission."""
    if len(submission.header) != 2 or any(
        read_id(name or "unnamed")[1] for name in submission.header
    ):
        raise UserError(
            f"{submission.file}: found the columns {quoted_list(submission.header)}; allowed are "
            "two, in UTF-8 and in one line each: first the id, then the label."
        )
    id_column, label_column = submission.header
    test = table.rows["id"][table.rows["split"] == "test"]
    order, problems = _submission_order(submission, id_column, set(test))
    if not order:
        raise UserError(
            f"{submission.file}: no value of its first column {quoted(id_column)} is an id of "
            f"test; test has ids such as {quoted(test.iloc[0])}. "
            "The first column must hold the ids."
        )
    positions = [order.get(key, -1) for key in test]
    rows = table.rows.copy()
    rows.loc[test.index, "order"] = np.array(positions, dtype=np.int32)
    omitted = [f"{submission.file} does not ask for {positions.count(-1)} of the test ids."]
    return MemeTable(rows, id_column, label_column), problems, omitted if -1 in positions else []


def _submission_order(
    submission: Table, id_column: str, test: set[str]
) -> tuple[dict[str, int], list[Problem]]:
    """Return the row index of each id in the submission, and problems: unknown or repeated ids."""
    order, problems = {}, list(submission.problems)
    for line, fields in submission.records:
        key = str(fields.get(id_column, ""))
        if key in test and key not in order:
            order[key] = len(order)
            continue
        fault = "again, allowed once" if key in order else "which is not an id of test"
        message = f"column {id_column}: found {quoted(key)} {fault}"
        problems.append(Problem(submission.file, line, message))
    return order, problems
