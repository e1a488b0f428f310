"""Read the user's CSV, TSV or JSONL files into one checked MemeTable."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from extract.tables.files.find_images import ImageFinder
from extract.tables.label_checks import (
    label_notes,
    require_known_labels,
    require_labels_of_train,
    require_two_classes,
    unknown_labels,
)
from extract.tables.labels import UNKNOWN, read_label
from extract.tables.layouts import Sources, find_sources, raise_no_rows
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.parsed_table import UnpackedPicture
from extract.tables.parsing.problem import LISTED, Problem
from extract.tables.parsing.split_names import split_in
from extract.tables.parsing.text_cells import read_caption, read_id
from extract.tables.review_files import read_reviews
from extract.tables.reviewed_memes import add_reviews
from extract.tables.sample_submission import apply_sample_submission
from extract.tables.splits import Row, read_rows
from extract.tables.table_options import RECOGNISE, TableOptions
from features.feature_table import SPLITS
from runtime.errors import UserError

ReadResult = tuple[MemeTable, list[Problem], list[str]]
"""Table, problems of single rows, and notes for the user."""


def read_memes(data: Path, options: TableOptions = RECOGNISE) -> ReadResult:
    """Read the train, val and test memes of a folder, or of one file with a split column.

    Returns the table (rows in the order train, val, test; `image` is an existing path inside the
    data folder, or empty), the problems of single rows, and notes for the user. The caller adds
    the problems of the images themselves and calls `extract.tables.bad_rows.resolve_bad_rows`.
    With shares, every row is a train row; the caller divides them. With reviews, the caller calls
    `extract.data.decided_rows.train_on_decisions` after that.

    Raises UserError if the data as a whole cannot be used: no such path, no train or test rows, an
    empty table, missing or ambiguous columns, or only one class in the train labels.
    """
    sources = find_sources(data, options.files)
    rows, problems, notes = read_rows(sources, options)
    for split in ("train",) if options.shares else ("train", "test"):
        _require_rows(split, rows, problems, sources)
    if options.shares:
        rows = _pool(rows)
    frame, faults, found = _validate(rows, sources, options)
    notes = notes + found
    require_two_classes(rows, frame)
    asked = next((row for row in rows if row.split == "test"), rows[0])
    table = MemeTable(frame, asked.columns.id, rows[0].columns.label)
    if sources.submission is not None:
        table, unknown_ids, omitted = apply_sample_submission(sources.submission, table)
        faults, notes = faults + unknown_ids, notes + omitted
    if options.reviews:
        table, reviewed = add_reviews(table, read_reviews([*options.reviews]))
        notes = notes + reviewed
    return table, _sorted(problems + faults), notes


def read_unlabelled(data: Path, options: TableOptions = RECOGNISE) -> ReadResult:
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
    without_split = replace(options, columns=replace(options.columns, split=None))
    rows, problems, notes = read_rows(sources, without_split)
    _require_rows("test", rows, problems, sources)
    frame, faults, remarks = _validate(rows, sources, options, "label")
    table = MemeTable(frame, rows[0].columns.id, rows[0].columns.label or "label")
    return table, _sorted(problems + faults), notes + remarks


def _pool(rows: list[Row]) -> list[Row]:
    """Make every row a train row, to be divided later."""
    if named := next((row for row in rows if row.split == "test"), None):
        raise UserError(
            f"--split divides rows that have no split, but {named.file} holds test rows. Leave out "
            "--split, or give the other table alone as --data."
        )
    return [replace(row, split="train") for row in rows]


def _validate(
    rows: Sequence[Row], sources: Sources, options: TableOptions, lenient: str = ""
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    """Validate every cell. An invalid one becomes empty or -1, and a problem unless `lenient`.

    Also returns notes: what is absent, and which pictures were not where the table says.
    """
    finder = ImageFinder(sources.root, _image_folder(sources.root, options.image_folder))
    cells = {
        "id": [read_id(row.id) for row in rows],
        "image": _find_images(rows, finder, splits_known=not (lenient or options.shares)),
        "text": [read_caption(row.text) for row in rows],
        "label": _read_labels(rows, options.positive),
    }
    if not lenient:
        require_known_labels(rows, options.positive)
        require_labels_of_train(rows, options.positive)
    values = {role: [value for value, _ in column] for role, column in cells.items()}
    advice = {"image": finder.advice} if finder.missing > LISTED else {}
    faults = [
        _faults(rows, column, role, advice.get(role, str)())
        for role, column in cells.items()
        if role != lenient
    ]
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
    if options.group:
        frame["slice"] = [" ".join(read_caption(row.slice)[0].split()) for row in rows]
    remarks = label_notes(rows, options.positive)
    notes = [*_absent(frame), *finder.notes(), *_unpacked(rows), *remarks]
    return frame, [problem for column in faults for problem in column], notes


def _read_labels(rows: Sequence[Row], positive: tuple[str, ...]) -> list[tuple[int, str | None]]:
    unknown = {split: unknown_labels(rows, split, positive) for split in SPLITS}
    return [read_label(row.label, row.split, positive, unknown[row.split]) for row in rows]


def _find_images(
    rows: Sequence[Row], finder: ImageFinder, splits_known: bool
) -> list[tuple[str, str | None]]:
    """Find the picture of each row. None is expected if ids stand in for the image column."""
    found = [
        (str(row.image.file), None)
        if isinstance(row.image, UnpackedPicture)
        else finder.find(
            row.image,
            row.path,
            _image_folders(row),
            row.split if splits_known else split_in(row.split_name),
        )
        for row in rows
    ]
    from_ids = all(row.columns.image == row.columns.id for row in rows)
    captions = all(row.columns.text is not None for row in rows)
    if from_ids and captions and not any(path for path, _ in found) and not finder.has_images:
        return [("", None)] * len(rows)
    return found


def _image_folder(root: Path, named: Path | None) -> Path | None:
    if named is None:
        return None
    for folder in (root / named, named):
        if folder.is_dir():
            return folder.resolve()
    raise UserError(f"--image-folder: there is no folder {named}, neither in {root} nor from here.")


def _absent(frame: pd.DataFrame) -> Iterator[str]:
    for column, what, instead, unless in (
        ("image", "picture", "a grey picture", ""),
        ("caption", "caption", "an empty caption", ", or --read-captions reads them"),
    ):
        count = int((frame[column] == "").sum())
        if count == len(frame):
            yield f"no row has a {what}: the other modality alone decides{unless}."
        elif count:
            share = f"{count} of {len(frame)} rows have no {what}"
            yield f"{share}: they are used with {instead}{unless}."


def _unpacked(rows: Sequence[Row]) -> Iterator[str]:
    """Say where the pictures of a table of bytes are, and how much disk they take."""
    files = {row.image.file for row in rows if isinstance(row.image, UnpackedPicture)}
    if files:
        size, folder = sum(file.stat().st_size for file in files), next(iter(files)).parent
        yield f"{len(files)} pictures in the table are unpacked in {folder} ({size / 1e6:.0f} MB)."


def _faults(
    rows: Sequence[Row], cells: Sequence[tuple[object, str | None]], role: str, advice: str
) -> Iterator[Problem]:
    field = {"image": "image", "text": "caption"}.get(role)
    for position, (row, (_, fault)) in enumerate(zip(rows, cells, strict=True)):
        if fault is not None:
            message = f"column {getattr(row.columns, role)}: {fault}"
            if role == "label":
                unknown = row.label.strip().lower() in UNKNOWN
                field = "label" if unknown and row.split != "test" else None
            yield Problem(row.file, row.line, message, position, field, advice)


def _image_folders(row: Row) -> list[str]:
    names = dict.fromkeys((row.split_name, row.split))
    return ["img", "images", "imgs", *(f"{n}{end}" for n in names for end in ("", "_images"))]


def _test_positions(rows: Sequence[Row]) -> np.ndarray:
    test = np.array([row.split == "test" for row in rows])
    return np.where(test, np.cumsum(test) - 1, -1).astype(np.int32)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line))


def _require_rows(split: str, rows: list[Row], problems: list[Problem], sources: Sources) -> None:
    if not any(row.split == split for row in rows):
        raise_no_rows(split, sources, problems, any(row.split == "train" for row in rows))
