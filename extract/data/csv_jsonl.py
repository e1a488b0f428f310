"""Parse a CSV, TSV or JSONL file into rows of text, and list the rows that cannot be read."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from extract.data.bad_rows import Problem
from runtime.errors import UserError, quoted, quoted_list


@dataclass(frozen=True)
class Table:
    """A parsed table: (line number, values by column) of each row, and the unreadable rows.

    Every value is text, except for JSON lists and objects.
    """

    file: str
    header: list[str]
    records: list[tuple[int, dict[str, object]]]
    problems: list[Problem]


def read_table(path: Path) -> Table:
    """Read a CSV, TSV or JSONL file; rows that cannot be read become `problems`.

    Raises UserError for a table without rows, a repeated column, or no readable row at all.
    """
    text = _read_text(path)
    table = (_read_jsonl if path.suffix.lower() == ".jsonl" else _read_csv)(text, path.name)
    if not table.records and table.problems:
        raise UserError("no row can be read:\n" + "\n".join(f"  {p}" for p in table.problems))
    if not table.records:
        raise UserError(f"{path} is an empty table: it has a header and no rows.")
    return table


def _read_text(path: Path) -> str:
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
    if rows and problems and problems[0].line < rows[0][0]:
        raise UserError(f"the header cannot be read: {problems[0]}")
    header = [name.strip() for name in rows[0][1]] if rows else []
    repeated = {name for name, count in Counter(header).items() if name and count > 1}
    if repeated:
        raise UserError(f"{file}: the header repeats {quoted_list(sorted(repeated))}. Rename one.")
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
    # strict=True raises an error for a quote that closes in the middle of a field. Such a quote
    # really opens another field: an earlier one was left open, and whole rows went into its field.
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count), strict=True)
    rows, problems, start = [], [], 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return rows, problems
        except csv.Error:
            problems.append(Problem(file, start, _quote_error(start, reader.line_num)))
        else:
            rows += [(start, fields)] if fields else []
        start = reader.line_num + 1


def _quote_error(start: int, end: int) -> str:
    fault = "a quote opens in this row and does not close where a field ends"
    return fault if start == end else f"{fault}; read up to line {end}"


def _read_jsonl(text: str, file: str) -> Table:
    records, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append((number, _json_fields(line)))
        except (ValueError, RecursionError) as error:
            fault = f"not a JSON object ({str(error).split(': line')[0]})"
            problems.append(Problem(file, number, fault))
    header = dict.fromkeys(name for _, fields in records for name in fields)
    return Table(file, list(header), records, problems)


def _json_fields(line: str) -> dict[str, object]:
    """Return values by column. Numbers keep their spelling: the ids 1e5 and 100000 differ."""
    content = json.loads(
        line,
        object_pairs_hook=_unique_fields,
        parse_int=str,
        parse_float=str,
        parse_constant=_reject_constant,
    )
    if not isinstance(content, dict):
        raise ValueError(f"found {quoted(line.strip())}")
    return {name: _as_text(value) for name, value in content.items()}


def _unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = {name.strip(): value for name, value in pairs}
    if len(fields) < len(pairs):
        names = Counter(name.strip() for name, _ in pairs)
        raise ValueError(f"it repeats {quoted(names.most_common(1)[0][0])}")
    return fields


def _reject_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _as_text(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
