"""Parse JSON lines or a JSON array of objects, and list the rows that cannot be read."""

import json
import re
from collections import Counter
from collections.abc import Iterator

from extract.tables.parsing.parsed_table import Table, cell_value
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.split_names import split_in
from runtime.errors import UserError, quoted, quoted_list


def parse_json_table(text: str, file: str) -> Table:
    """Parse one JSON object per line, one array of objects, or one object that holds all rows.

    The line of a row of an array or an object is its number. Raises UserError for an array that is
    not JSON.
    """
    if text.lstrip().startswith("["):
        try:
            return _table_of_rows(_load(text), file)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file} is not a JSON array ({error}).") from error
    lines = _parse_lines(text, file)
    if not lines.records or (len(lines.records) == 1 and _is_nested(lines.records[0][1])):
        rows = _rows_of_document(text, file)
        return _table_of_rows(rows, file) if rows else lines
    return lines


def _is_nested(content: dict[str, object]) -> bool:
    """Return whether an object in one line holds rows rather than being one.

    At least half of its values are objects or lists, the others being a version or the like.
    """
    nested = sum(isinstance(value, (dict, list)) for value in content.values())
    return nested > 0 and 2 * nested >= len(content)


def _rows_of_document(text: str, file: str) -> list[dict[str, object]]:
    """Return the rows of objects that are printed over several lines, or of one that holds them.

    Returns none if it is something else.
    """
    objects = [*_objects(text)]
    return _rows_of_object(objects[0], file) if len(objects) == 1 else objects


def _rows_of_object(content: dict[str, object], file: str) -> list[dict[str, object]]:
    """Return the rows that an object holds, or itself as the only one.

    That is a list of rows under any name, or one for each split; rows by id; or columns, as pandas
    writes them: by row number, as lists of one length, or with the rows as lists under data.
    """
    columns = [*content.values()]
    if lists := {name: value for name, value in content.items() if _is_list_of(value, dict)}:
        return _rows_of_lists(lists, file)
    names, data = content.get("columns"), content.get("data")
    if _is_list_of(names, str) and _is_list_of(data, list):
        # A value too many or too few is lost here, and then missed as an absent cell.
        return [dict(zip(names, row, strict=False)) for row in data]
    if all(isinstance(column, list) for column in columns):
        if len({len(column) for column in columns}) > 1:
            return []
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    if not all(isinstance(column, dict) for column in columns):
        return [content]
    first = columns[0]
    if len(columns) == 1 and _is_nested(first):
        return _rows_of_object(first, file)
    if [*first] == [str(number) for number in range(len(first))]:
        return [{name: column.get(key) for name, column in content.items()} for key in first]
    return [{"id": key, **row} for key, row in content.items()]


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, kind) for one in value)


def _rows_of_lists(lists: dict[str, list[dict[str, object]]], file: str) -> list[dict[str, object]]:
    """Return the rows of one list; or of several, whose names become a column called split."""
    if len(lists) == 1:
        return next(iter(lists.values()))
    if not all(split_in(name) for name in lists):
        raise UserError(
            f"{file} holds several lists of objects: {quoted_list(lists)}. Write the one with the "
            "memes into a file of its own, or call the lists train, val and test."
        )
    return [{**row, "split": split_in(name)} for name, rows in lists.items() for row in rows]


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Yield the objects that follow each other in a text; none if anything else is in it."""
    decoder, found, position = json.JSONDecoder(**HOOKS), [], 0
    while position < len(text):
        try:
            content, position = decoder.raw_decode(text, SPACE.match(text, position).end())
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        found.append(content)
        position = SPACE.match(text, position).end()
    yield from found


def _table_of_rows(rows: list[object], file: str) -> Table:
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
            records.append((number, _json_fields(line.rstrip().rstrip(","))))
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
    return json.loads(text, **HOOKS)


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


HOOKS = {
    "object_pairs_hook": _unique_fields,
    "parse_int": str,
    "parse_float": str,
    "parse_constant": _read_constant,
}

SPACE = re.compile(r"\s*")
