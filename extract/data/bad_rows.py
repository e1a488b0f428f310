"""Handle invalid rows: stop, or blank the bad test rows and leave out the others."""

from dataclasses import dataclass, replace

import numpy as np

from extract.config import ON_BAD_ROWS
from extract.data.meme_table import MemeTable
from runtime.errors import UserError


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


def resolve_bad_rows(
    table: MemeTable, problems: list[Problem], on_bad_rows: str
) -> tuple[MemeTable, np.ndarray]:
    """Stop at any problem, or blank bad test rows and leave out bad train and val rows.

    Returns the new table, and the positions of its rows in the given table (int64). A blanked
    caption is empty; a blanked image has an empty path. The caller must report every changed row.

    Raises UserError that lists every problem if `on_bad_rows` is `stop` or one cannot be blanked.
    """
    if on_bad_rows not in ON_BAD_ROWS:
        allowed = ", ".join(ON_BAD_ROWS)
        raise UserError(f'--on-bad-rows: found "{on_bad_rows}", allowed: {allowed}')
    blankable = [p for p in problems if p.field is not None]
    if problems and (on_bad_rows == "stop" or len(blankable) < len(problems)):
        raise UserError(_error_message(problems, blankable))
    rows = table.rows.copy()
    bad = np.zeros(len(rows), dtype=bool)
    for problem in blankable:
        rows.loc[rows.index[problem.row], problem.field] = ""
        bad[problem.row] = True
    positions = np.flatnonzero(~bad | (rows["split"] == "test").to_numpy())
    return replace(table, rows=rows.iloc[positions].reset_index(drop=True)), positions


def _error_message(problems: list[Problem], blankable: list[Problem]) -> str:
    count = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
    lines = [f"{count} in the data:", *(f"  {problem}" for problem in problems)]
    if len(blankable) == len(problems):
        lines.append(
            "Fix them, or pass --on-bad-rows blank: test rows then get a grey image or an empty "
            "caption, and train and val rows are left out."
        )
    else:
        lines.append("Fix them and run again. No file was written.")
    return "\n".join(lines)
