"""A table file as rows of text: CSV, TSV, JSON lines, a JSON array, or Parquet."""

from dataclasses import dataclass
from pathlib import Path

from extract.tables.parsing.problem import Problem

LEFT_OUT = {"left_out": "bytes"}
"""A cell whose bytes are not those of a picture."""


@dataclass(frozen=True)
class UnpackedPicture:
    """A picture whose bytes were in the table."""

    file: Path
    """Where they are now."""
    name: str
    """Its path as the table gives it, which nothing is read from; empty if there is none."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Table:
    """A parsed table: (line number, values by column) of each row, and the unreadable rows.

    Every value is text, except for lists, objects and unpacked pictures.
    """

    file: str
    header: list[str]
    records: list[tuple[int, dict[str, object]]]
    problems: list[Problem]
    path: Path = Path()


def cell_value(value: object) -> object:
    """Return a value of JSON as text; lists and objects unchanged, None as nothing."""
    if isinstance(value, (str, list, dict)):
        return value
    if value is None or value != value:  # NaN
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
