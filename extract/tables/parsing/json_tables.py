"""Parse JSON lines or a JSON array of objects, and list the rows that cannot be read."""

import json
from collections import Counter

from extract.tables.parsing.parsed_table import Table, cell_value
from extract.tables.parsing.problem import Problem
from runtime.errors import UserError, quoted


def parse_json_table(text: str, file: str) -> Table:
    """Parse one JSON object per line, or one array of objects.

    The line of a row of an array is its number. Raises UserError for an array that is not JSON.
    """
    return (_parse_array if text.lstrip().startswith("[") else _parse_lines)(text, file)


def _parse_array(text: str, file: str) -> Table:
    try:
        rows = _load(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not a JSON array ({error}).") from error
    records, problems = [], []
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            records.append((number, _fields(row)))
        else:
            problems.append(Problem(file, number, f"found {quoted(str(row))}, allowed an object"))
    return _table(file, records, problems)


def _parse_lines(text: str, file: str) -> Table:
    records, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append((number, _json_fields(line)))
        except (ValueError, RecursionError) as error:
            fault = f"not a JSON object ({str(error).split(': line')[0]})"
            problems.append(Problem(file, number, fault))
    return _table(file, records, problems)


def _table(
    file: str, records: list[tuple[int, dict[str, object]]], problems: list[Problem]
) -> Table:
    header = dict.fromkeys(name for _, fields in records for name in fields)
    return Table(file, list(header), records, problems)


def _json_fields(line: str) -> dict[str, object]:
    content = _load(line)
    if not isinstance(content, dict):
        raise ValueError(f"found {quoted(line.strip())}")
    return _fields(content)


def _load(text: str) -> object:
    """Parse JSON. Numbers keep their spelling: the ids 1e5 and 100000 differ."""
    return json.loads(
        text,
        object_pairs_hook=_unique_fields,
        parse_int=str,
        parse_float=str,
        parse_constant=_read_constant,
    )


def _fields(row: dict[str, object]) -> dict[str, object]:
    return {name: cell_value(value) for name, value in row.items()}


def _unique_fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = {name.strip(): value for name, value in pairs}
    if len(fields) < len(pairs):
        names = Counter(name.strip() for name, _ in pairs)
        raise ValueError(f"it repeats {quoted(names.most_common(1)[0][0])}")
    return fields


def _read_constant(name: str) -> None:
    """Return None for NaN, which pandas writes for an absent value; refuse Infinity."""
    if name != "NaN":
        raise ValueError(f"JSON has no {name}")
