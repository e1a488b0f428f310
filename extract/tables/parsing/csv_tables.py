"""Parse a CSV or TSV file into rows of text, and list the rows that cannot be read."""

import csv
import io
import re
from collections import Counter

from extract.tables.parsing.parsed_table import Table
from extract.tables.parsing.problem import Problem
from runtime.errors import UserError, quoted, quoted_list

DELIMITERS = ",;\t|"

DECLARED_DELIMITER = re.compile(r"\s*sep=([,;\t|])(?=\r?\n)", re.IGNORECASE)
"""First line of a table from Excel. Only its text is removed, so lines keep their numbers."""

UNQUOTED = "A caption that contains {delimiter!r} must be in double quotes"
"""What to do about a row with too many fields."""

ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
"""A quote after a backslash that is not escaped itself. Other backslashes stay as they are."""

DOUBLED_QUOTE = re.compile(r'[^,;\t|\r\n]""|""[^,;\t|\r\n]')
"""A doubled quote inside a field: then quotes are not escaped with a backslash."""

QUOTED = re.compile(r'\s*".*"\s*', re.DOTALL)

DIGITS = re.compile(r"\d+")


def parse_csv(text: str, file: str) -> Table:
    """Parse a table with a header. The delimiter is that of the first line, or of its `sep=`.

    If quotes in fields are escaped with a backslash (MySQL, Spark) rather than doubled, they are
    read so. If no field between tabs is quoted, quotes are letters. Raises UserError for an
    unreadable header or a repeated column.
    """
    declared = DECLARED_DELIMITER.match(text)
    if declared:
        text = text[declared.end() :]
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    delimiter = declared[1] if declared else max(DELIMITERS, key=first.count)
    table = _parse(text, file, {"delimiter": delimiter, "strict": True})
    if '\\"' in text and table.problems and not DOUBLED_QUOTE.search(text):
        doubled = ESCAPED_QUOTE.sub(r'\1""', text)
        other = _parse(doubled, file, {"delimiter": delimiter, "strict": True})
        if not other.problems:
            return other
    if delimiter == "\t" and table.problems:
        plain = _parse(text, file, {"delimiter": delimiter, "quoting": csv.QUOTE_NONE})
        cells = (cell for _, fields in plain.records for cell in fields.values())
        if not plain.problems and not any(QUOTED.fullmatch(cell) for cell in cells):
            return plain
    return table


def _parse(text: str, file: str, dialect: dict[str, object]) -> Table:
    rows, problems = _csv_rows(text, file, dialect)
    if rows and problems and problems[0].line < rows[0][0]:
        raise UserError(f"the header cannot be read: {problems[0]}")
    header = [name.strip() for name in rows[0][1]] if rows else []
    repeated = {name for name, count in Counter(header).items() if name and count > 1}
    if repeated:
        raise UserError(f"{file}: the header repeats {quoted_list(sorted(repeated))}. Rename one.")
    records = []
    for line, fields in rows[1:]:
        if not any(fields[len(header) :]):  # spreadsheets end lines with empty fields
            fields = fields[: len(header)]
        if len(fields) == len(header):
            records.append((line, dict(zip(header, fields, strict=True))))
        else:
            fault = f"found {len(fields)} fields, expected {len(header)} as in the header"
            advice = UNQUOTED.format(**dialect) if len(fields) > len(header) else ""
            problems.append(Problem(file, line, fault, advice=advice))
    if len(header) == 1 and problems and not records:
        raise UserError(f"{file}: its first line {quoted(header[0])} is not a header. Remove it.")
    return Table(file, header, records, problems)


def _csv_rows(
    text: str, file: str, dialect: dict[str, object]
) -> tuple[list[tuple[int, list[str]]], list[Problem]]:
    csv.field_size_limit(2**31 - 1)
    # strict=True raises an error for a quote that closes in the middle of a field. Such a quote
    # really opens another field: an earlier one was left open, and whole rows went into its field.
    lines = [*io.StringIO(text, newline="")]
    reader = csv.reader(lines, **dialect)
    rows, problems, start = [], [], 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return rows, problems
        except csv.Error:
            problems.append(Problem(file, start, _quote_error(start, reader.line_num)))
        else:
            if rows and _are_rows(lines[start - 1 : reader.line_num], rows[0][1], dialect):
                problems.append(Problem(file, start, _quote_error(start, reader.line_num)))
            elif fields:
                rows.append((start, fields))
        start = reader.line_num + 1


def _are_rows(lines: list[str], header: list[str], dialect: dict[str, object]) -> bool:
    """Return whether the lines of one row are rows themselves, which a stray quote has joined.

    Each has all fields then, and those of one column differ in digits alone, as ids do.
    """
    if len(lines) < 2:
        return False
    cells = [line.rstrip("\r\n").split(dialect["delimiter"]) for line in lines]
    if any(len(fields) != len(header) for fields in cells):
        return False
    forms = [{DIGITS.sub("0", cell) for cell in column} for column in zip(*cells, strict=True)]
    return any(len(form) == 1 and form != {""} for form in forms)


def _quote_error(start: int, end: int) -> str:
    fault = "a quote opens in this row and does not close where a field ends"
    return fault if start == end else f"{fault}; read up to line {end}"
