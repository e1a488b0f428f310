"""The user's files: which tables there are, what their rows hold, where their images lie."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PureWindowsPath

from extract.columns import SPLIT_WORDS, listed, shown, unreadable
from extract.table import Problem
from features.errors import UserError

SUFFIXES = (".csv", ".tsv", ".jsonl")
SUBMISSIONS = ("sample_submission", "samplesubmission", "sample_solution")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Sources:
    """The tables of a data set; the split is None where a column says it."""

    root: Path
    tables: list[tuple[Path, str | None]]
    submission: Path | None
    unread: list[Path]


@dataclass(frozen=True)
class Table:
    """One table as read: (line, values by column) of every row, and the rows that have none.

    A value is text; only JSON lists and objects are left as they are.
    """

    file: str
    header: list[str]
    records: list[tuple[int, dict[str, object]]]
    problems: list[Problem]


def find_sources(data: Path) -> Sources:
    """Find the tables in a folder, by the split that names them, or take the one file given.

    A folder's only table may hold all splits, and then a column says which.
    Raises UserError when `data` does not exist or two formats of one table lie side by side.
    """
    if not data.exists():
        raise UserError(f"{data} does not exist. Give a folder with train.csv and test.csv.")
    if data.is_dir():
        return _in_folder(data)
    if data.suffix.lower() not in SUFFIXES:
        raise UserError(f"{data} is not a table; allowed are {', '.join(SUFFIXES)}, or a folder.")
    return Sources(data.parent.resolve(), [(data, None)], None, [])


def _in_folder(data: Path) -> Sources:
    stems = defaultdict(list)
    for path in sorted(data.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            stems[path.stem.lower()].append(path)
    submissions = [path for stem in SUBMISSIONS for path in stems.pop(stem, [])]
    for paths in (submissions, *(paths for stem, paths in stems.items() if stem in SPLIT_WORDS)):
        _only_one(data, paths)
    tables = list(chain(*stems.values()))
    named = [(path, SPLIT_WORDS[path.stem.lower()]) for path in tables if _names_split(path)]
    if len(tables) == 1:
        named = [(tables[0], None)]
    unread = [path for path in tables if path not in dict(named)]
    return Sources(data.resolve(), named, next(iter(submissions), None), unread)


def _names_split(path: Path) -> bool:
    return path.stem.lower() in SPLIT_WORDS


def _only_one(data: Path, paths: list[Path]) -> None:
    if len(paths) > 1:
        raise UserError(
            f"{data} holds {listed(path.name for path in paths)}, which is ambiguous. "
            "Keep one of them and move the others away."
        )


def read_table(path: Path) -> Table:
    """Read a CSV or JSONL file; rows that cannot be read are its problems.

    Raises UserError for a table without rows, a repeated column, or no readable row at all.
    """
    text = _decoded(path)
    table = (_read_jsonl if path.suffix.lower() == ".jsonl" else _read_csv)(text, path.name)
    if not table.records and table.problems:
        raise UserError("no row can be read:\n" + "\n".join(f"  {p}" for p in table.problems))
    if not table.records:
        raise UserError(f"{path} is an empty table: it has a header and no rows.")
    return table


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16. Save it as UTF-8.")
    text = content.decode("utf-8-sig", errors="surrogateescape")
    if not text.strip():
        raise UserError(f"{path} is an empty file.")
    return text


def _read_csv(text: str, file: str) -> Table:
    rows, problems = _csv_rows(text, file)
    header = [name.strip() for name in rows[0][1]] if rows else []
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise UserError(f"{file}: the header repeats {listed(sorted(repeated))}. Rename one.")
    records = []
    for line, fields in rows[1:]:
        if len(fields) == len(header):
            records.append((line, dict(zip(header, fields, strict=True))))
        else:
            fault = f"found {len(fields)} fields, expected {len(header)} as in the header"
            problems.append(Problem(file, line, fault))
    return Table(file, header, records, problems)


def _csv_rows(text: str, file: str) -> tuple[list[tuple[int, list[str]]], list[Problem]]:
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(text, newline="")
    first = next(line for line in lines if line.strip())
    lines.seek(0)
    # A quote that never closes swallows every row after it, and this last line with them.
    end = ["\0end\0"]
    reader = csv.reader(chain(lines, end), delimiter=max(",;\t", key=first.count))
    *rows, (line, fields) = _numbered(reader)
    if fields == end:
        return rows, []
    return rows, [Problem(file, line, "a quote opens in this row and never closes")]


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    start = 1
    for fields in reader:
        if fields:
            yield start, fields
        start = reader.line_num + 1


def _read_jsonl(text: str, file: str) -> Table:
    records, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append((number, _json_fields(line)))
        except (ValueError, RecursionError) as error:
            fault = f"not a JSON object ({str(error).split(':')[0]})"
            problems.append(Problem(file, number, fault))
    header = dict.fromkeys(name for _, fields in records for name in fields)
    return Table(file, list(header), records, problems)


def _json_fields(line: str) -> dict[str, object]:
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError(f"found {shown(line.strip())}")
    return {name.strip(): _as_text(value) for name, value in content.items()}


def _as_text(value: object) -> object:
    if value is None:
        return ""
    return value if isinstance(value, str | list | dict) else str(value)


def find_image(root: Path, value: str, folders: Iterable[str]) -> tuple[str, str | None]:
    """Return the path of the image in the resolved folder `root`, and what is wrong with it.

    A bare name is also looked for in `folders` of `root`, and a name without a suffix with
    .png, .jpg and .jpeg. The path is empty when the image is missing or lies outside `root`.
    """
    value = value.strip()
    windows = PureWindowsPath(value)
    if not value:
        return "", "found nothing, allowed the path of an image"
    if fault := unreadable(value):
        return "", fault
    if "\\" in value or windows.drive or windows.root or ".." in windows.parts:
        return "", f"found {shown(value)}, allowed a path with / that stays in the data folder"
    places = ["."] if "/" in value else [".", *dict.fromkeys(folders)]
    names = [value] if windows.suffix else [value + suffix for suffix in ("", *IMAGE_SUFFIXES)]
    tried = (root / place / name for place in places for name in names)
    path = next((path.resolve() for path in tried if _is_file(path)), None)
    if path is None:
        beside = f", nor in {', '.join(places[1:])}" if places[1:] else ""
        return "", f"no image at {root / value}{beside}"
    if not path.is_relative_to(root):
        return "", f"{shown(value)} is a link that leads out of the data folder"
    return str(path), None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder on the way is locked
        return False
