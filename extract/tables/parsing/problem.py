"""One error in the user's data."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """An error in the user's data: where it is and what is wrong."""

    file: str
    line: int
    message: str
    row: int | None = None
    """Row index in the table, if the error can be blanked."""
    field: str | None = None
    """`image` or `caption` if the error can be blanked, else None."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"

    @property
    def cause(self) -> tuple[str, str]:
        """The file, and the message without the values that differ from row to row."""
        return self.file, re.sub(r'"[^"]*"|\S*/\S*|\d+', "_", self.message)
