"""The only reader of the user's data: CSV or JSONL files become one checked MemeTable."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from extract.data.bad_rows import Problem
from extract.data.columns import RECOGNISE, SPLIT_WORDS, Columns
from extract.data.csv_jsonl import Table, read_table
from extract.data.labels import read_label
from extract.data.layouts import Sources, find_image, find_sources
from extract.data.meme_table import MemeTable
from extract.data.splits import Row, read_rows
from extract.data.text_cells import read_caption, read_id
from runtime.errors import UserError, quoted, quoted_list

Reading = tuple[MemeTable, list[Problem], list[str]]


def read_memes(data: Path, columns: Columns = RECOGNISE) -> Reading:
    """Read the train, val and test memes of a folder, or of one file with a split column.

    Returns the table (rows in the order train, val, test; `image` is an existing path inside the
    data folder, or empty), the problems of single rows, and notes for the user. The caller adds
    the problems of the images themselves and calls `extract.table.resolve_bad_rows`.

    An image that is a bare name is looked for in the data folder, then in img, images, imgs and
    the folders named after its split; one without a suffix also as .png, .jpg and .jpeg.

    Raises UserError when the data as a whole cannot be used: no such path, no train or test rows,
    an empty table, columns that are missing or ambiguous, or train labels all of one class.
    """
    sources = find_sources(data)
    rows, problems, notes = read_rows(sources, columns)
    for split in ("train", "test"):
        _require(split, rows, problems, sources)
    frame, faults = _checked(rows, sources.root)
    _require_two_classes(rows, frame)
    first_test = next(row for row in rows if row.split == "test")
    table = MemeTable(frame, first_test.columns.id, rows[0].columns.label)
    if sources.submission is None:
        return table, _sorted(problems + faults), notes
    table, strangers, left = _in_order_of(read_table(sources.submission), table)
    return table, _sorted(problems + faults + strangers), notes + left


def read_unlabelled(data: Path, columns: Columns = RECOGNISE) -> Reading:
    """Read memes to be scored: one file, or a folder's test tables, or its only table.

    Returns what `read_memes` does. Every row is of the split test, in file order; a split column
    and a sample submission are not read. Labels are kept where they are valid, and -1 otherwise.
    Raises UserError as `read_memes` does, except for what concerns train rows and labels.
    """
    found = find_sources(data)
    tables = [(path, "test") for path, split in found.tables if split in ("test", None)]
    if not tables:
        raise UserError(f"{data} has no test table. Give one file, or name it test.csv.")
    unread = found.unread + [path for path, split in found.tables if split in ("train", "val")]
    sources = replace(found, tables=tables, unread=unread)
    rows, problems, notes = read_rows(sources, replace(columns, split=None))
    _require("test", rows, problems, sources)
    frame, faults = _checked(rows, found.root, "label")
    table = MemeTable(frame, rows[0].columns.id, rows[0].columns.label or "label")
    return table, _sorted(problems + faults), notes


def _checked(
    rows: Sequence[Row], root: Path, forgiven: str = ""
) -> tuple[pd.DataFrame, list[Problem]]:
    """Check every cell: a bad one is empty or -1 in the frame, and a problem unless forgiven."""
    cells = {
        "id": [read_id(row.id) for row in rows],
        "image": [find_image(root, row.image, _image_folders(row)) for row in rows],
        "text": [read_caption(row.text) for row in rows],
        "label": [read_label(row.label, row.split) for row in rows],
    }
    values = {role: [value for value, _ in column] for role, column in cells.items()}
    faults = [_faults(rows, column, role) for role, column in cells.items() if role != forgiven]
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
    words = dict.fromkeys((row.word, row.split))
    return ["img", "images", "imgs", *(f"{w}{end}" for w in words for end in ("", "_images"))]


def _test_positions(rows: Sequence[Row]) -> np.ndarray:
    test = np.array([row.split == "test" for row in rows])
    return np.where(test, np.cumsum(test) - 1, -1).astype(np.int32)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def _require(split: str, rows: list[Row], problems: list[Problem], sources: Sources) -> None:
    if any(row.split == split for row in rows):
        return
    words = [word for word, meaning in SPLIT_WORDS.items() if meaning == split]
    found = quoted_list(path.name for path, _ in sources.tables) or "no such table"
    raise UserError(
        f"no {split} rows in {sources.root}: found {found}. Looked for a file (.csv, .tsv, "
        f".jsonl) or a split column that says {', '.join(words)}."
        + "".join(f"\n  {problem}" for problem in problems)
    )


def _require_two_classes(rows: list[Row], frame: pd.DataFrame) -> None:
    labels = frame["label"][frame["split"] == "train"]
    zeros, ones = int((labels == 0).sum()), int((labels == 1).sum())
    # Bad labels are listed with the other problems: what is wrong may be those.
    if zeros + ones == len(labels) and not (zeros and ones):
        raise UserError(
            f"{rows[0].file}: column {rows[0].columns.label} has one class only in train: "
            f"{zeros} labels are 0 and {ones} are 1; both are needed."
        )


def _in_order_of(asked: Table, table: MemeTable) -> tuple[MemeTable, list[Problem], list[str]]:
    """Let the sample submission fix which ids are asked for, their order and the column names."""
    if len(asked.header) != 2 or any(read_id(name or "unnamed")[1] for name in asked.header):
        raise UserError(
            f"{asked.file}: found the columns {quoted_list(asked.header)}; allowed are two, in UTF-8: "
            "first the id, then the label, in one line each."
        )
    id_column, label_column = asked.header
    test = table.rows["id"][table.rows["split"] == "test"]
    order, problems = _places(asked, id_column, set(test))
    if not order:
        raise UserError(
            f"{asked.file}: no value of its first column {quoted(id_column)} is an id of test; "
            f"test has ids such as {quoted(test.iloc[0])}. The first column must hold the ids."
        )
    places = [order.get(key, -1) for key in test]
    rows = table.rows.copy()
    rows.loc[test.index, "order"] = np.array(places, dtype=np.int32)
    left = [f"{asked.file} does not ask for {places.count(-1)} of the test ids."]
    return MemeTable(rows, id_column, label_column), problems, left if -1 in places else []


def _places(asked: Table, id_column: str, test: set[str]) -> tuple[dict[str, int], list[Problem]]:
    """Return the place of every id asked for, and the ids that are unknown or repeated."""
    order, problems = {}, list(asked.problems)
    for line, fields in asked.records:
        key = str(fields.get(id_column, ""))
        if key in test and key not in order:
            order[key] = len(order)
            continue
        fault = "again, allowed once" if key in order else "which is not an id of test"
        message = f"column {id_column}: found {quoted(key)} {fault}"
        problems.append(Problem(asked.file, line, message))
    return order, problems
