"""Join the rows of all tables: find the split of each row, and rows that are in two tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from extract.tables.column_contents import columns_like, require_captions, require_one_label
from extract.tables.columns import (
    RECOGNISED_NAMES,
    Columns,
    find_group,
    raise_missing,
    recognised,
    resolve_columns,
)
from extract.tables.labels import first_of_list
from extract.tables.layouts import Sources
from extract.tables.parsing.parsed_table import LEFT_OUT, Table, UnpackedPicture
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.read_table import read_table
from extract.tables.parsing.split_names import SPLIT_NAMES
from extract.tables.table_options import TableOptions
from features.feature_table import SPLITS
from runtime.errors import quoted, quoted_list

ROLES = ("id", "image", "text", "label")


@dataclass(frozen=True)
class Row:
    """One row as written, its column names, and the name of its split in the file."""

    file: str
    line: int
    path: Path
    columns: Columns
    split_name: str
    split: str
    id: str
    image: str | UnpackedPicture
    text: str
    label: str
    slice: str
    """Empty without a column of slices."""


def read_rows(
    sources: Sources, options: TableOptions
) -> tuple[list[Row], list[Problem], list[str]]:
    """Return the rows in the order train, val, test; the rows that cannot be used; and notes.

    With shares, all rows are train rows. Raises UserError for a table or a column that cannot be
    used.
    """
    rows, problems, notes = [], [], []
    tables, names = [], _names(sources)
    for path, split in sources.tables:
        given = "train" if options.shares and split is None else split
        named = options.columns.image
        pictures = [named] if named else RECOGNISED_NAMES["image"]
        table = read_table(path, options.encoding, options.unpack_to, names[path], pictures)
        columns = resolve_columns(
            table, options.columns, needs_label=given != "test", needs_split=given is None
        )
        require_captions(table, columns.text)
        require_one_label(table, columns.label)
        # Test tables often have fewer columns, and the report compares labelled rows.
        group = find_group(table.header, options.group, table.file, needed=given != "test")
        tables.append((table, columns, group, given, path.stem.lower()))
    _require_same_modalities(tables)
    for table, columns, group, split, stem in tables:
        found = list(_rows_of(table, columns, group, split, stem))
        rows += [row for row in found if isinstance(row, Row)]
        problems += [*table.problems, *(row for row in found if isinstance(row, Problem))]
        notes += _column_notes(table, columns)
    rows, repeats, shared = _drop_repeats(rows)
    rows.sort(key=lambda row: SPLITS.index(row.split))
    unread = [f"Not read: {path.name}." for path in sources.unread]
    notes = [*_counts(rows), *notes, *shared, *_shared_ids(rows), *unread]
    return rows, problems + repeats, notes


def _names(sources: Sources) -> dict[Path, str]:
    """Return the name of each table for messages: with its folder if others have the same name."""
    count = Counter(path.name for path, _ in sources.tables)
    return {
        path: path.name if count[path.name] == 1 else f"{path.parent.name}/{path.name}"
        for path, _ in sources.tables
    }


def _require_same_modalities(
    tables: list[tuple[Table, Columns, str | None, str | None, str]],
) -> None:
    """Raise UserError if some tables have captions, or pictures, and others have none.

    If no table has captions, memes are classified by their pictures alone, and vice versa.
    """
    for role in ("image", "text"):
        without = [table for table, columns, *_ in tables if getattr(columns, role) is None]
        having = [columns for _, columns, *_ in tables if getattr(columns, role) is not None]
        if without and having:
            column = getattr(having[0], role)
            raise_missing(
                without[0],
                (role,),
                f"or, if all its cells are absent, add an empty column {quoted(column)}",
            )
    for table, columns, group, *_ in tables:
        # A column of words that nobody claims is more likely the captions than nothing.
        unclaimed = set(table.header) - {*vars(columns).values(), group}
        if columns.text is None and columns_like(table, "text", unclaimed):
            raise_missing(table, ("text",))


def _rows_of(
    table: Table, columns: Columns, group: str | None, split: str | None, stem: str
) -> Iterator[Row | Problem]:
    for line, fields in table.records:
        try:
            cells = [_cell(fields, getattr(columns, role), role) for role in ROLES]
            if isinstance(cells[0], UnpackedPicture):
                cells[0] = cells[0].name or f"{stem}-{line}"
            cells.append(_cell(fields, group))
            name = _cell(fields, columns.split).strip().lower() if columns.split else stem
            row_split = _split(name, columns.split) if columns.split else split
        except ValueError as error:
            yield Problem(table.file, line, str(error))
        else:
            yield Row(table.file, line, table.path, columns, name, row_split, *cells)


def _cell(fields: dict[str, object], column: str | None, role: str = "") -> str | UnpackedPicture:
    cell = fields.get(column, "") if column else ""
    if role == "label":
        cell = first_of_list(cell)
    picture = isinstance(cell, UnpackedPicture)
    if (picture and role not in ("id", "image")) or cell == LEFT_OUT:
        raise ValueError(f"column {column}: found bytes, allowed text")
    if not isinstance(cell, (str, UnpackedPicture)):
        raise ValueError(f"column {column}: found a list or an object, allowed text")
    return cell


def _split(name: str, column: str) -> str:
    if name not in SPLIT_NAMES:
        found = quoted(name) if name else "nothing"
        raise ValueError(f"column {column}: found {found}, allowed train, val or test")
    return SPLIT_NAMES[name]


def _drop_repeats(rows: Iterable[Row]) -> tuple[list[Row], list[Problem], list[str]]:
    """Drop repeats of rows that two sources of one split share, as dev_seen and dev_unseen do."""
    first, unique, problems, shared = {}, [], [], Counter()
    for row in rows:
        earlier = first.setdefault((row.split, row.id), row)
        if earlier is row or not row.id.strip():
            unique.append(row)
        elif _source(row) != _source(earlier) and _content(row) == _content(earlier):
            shared[row.split] += 1
        else:
            unique.append(row)
            problems.append(_repeat(row, earlier))
    notes = [
        f"{split}: {_plural(count, 'id')} in more than one file with the same content, used once."
        for split, count in shared.items()
    ]
    return unique, problems, notes


def _source(row: Row) -> tuple[str, str]:
    return row.file, row.split_name


def _content(row: Row) -> tuple[str, str, str]:
    return row.image, row.text, row.label


def _repeat(row: Row, earlier: Row) -> Problem:
    other = "" if _source(row) == _source(earlier) else " with another image, caption or label"
    message = (
        f"column {row.columns.id}: found {quoted(row.id)} again, which {earlier.file}:"
        f"{earlier.line} has{other}; an id is allowed once in a split"
    )
    return Problem(row.file, row.line, message)


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    counts = Counter((row.split, row.file) for row in rows)
    for (split, file), count in counts.items():
        yield f"{split}: {_plural(count, 'row')} from {file}."


def _column_notes(table: Table, columns: Columns) -> Iterator[str]:
    if columns.image not in (columns.id, *recognised(table.header, "image")):
        yield f"{table.file}: column {columns.image} is taken for the image column."
    if columns.id == columns.image:
        if recognised([columns.id], "id"):
            yield f"{table.file}: no image column; column {columns.id} names pictures, if any."
        else:
            yield f"{table.file}: no id column, so column {columns.id} is both id and image."
    ignored = recognised(table.header, "split")
    if ignored and columns.split is None:
        names = quoted_list(ignored)
        yield f"{table.file}: column {names} is ignored, because the file name gives the split."


def _shared_ids(rows: Sequence[Row]) -> Iterator[str]:
    ids = defaultdict(set)
    for row in rows:
        ids[row.split].add(row.id)
    for one, other in combinations(ids, 2):
        if shared := ids[one] & ids[other]:
            count, example = _plural(len(shared), "id"), quoted(min(shared))
            yield f"{count} in both {one} and {other}, such as {example}: treated as separate rows."


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
