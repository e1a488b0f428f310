"""Rows with a fault: stop at them, or blank the test rows and leave the others out."""

from dataclasses import dataclass, replace

import numpy as np

from extract.config import ON_BAD_ROWS
from extract.data.meme_table import MemeTable
from runtime.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One fault in the user's data: where it is and what is wrong with it."""

    file: str
    line: int
    message: str
    row: int | None = None
    """Position in the table, for faults that can be blanked."""
    field: str | None = None
    """`image` or `caption` when the fault can be blanked, else None."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def resolve_bad_rows(
    table: MemeTable, problems: list[Problem], on_bad_rows: str
) -> tuple[MemeTable, np.ndarray]:
    """Stop on any problem, or blank bad test rows and leave bad train and val rows out.

    Returns the table and `kept`, the positions of its rows in the table given. A blanked caption is
    empty; a blanked image has the empty path. Every row touched must be reported by the caller.

    Raises UserError listing every problem when `on_bad_rows` is `stop`, or when one cannot be
    blanked.
    """
    if on_bad_rows not in ON_BAD_ROWS:
        allowed = ", ".join(ON_BAD_ROWS)
        raise UserError(f'--on-bad-rows: found "{on_bad_rows}", allowed: {allowed}')
    blankable = [p for p in problems if p.field is not None]
    if problems and (on_bad_rows == "stop" or len(blankable) < len(problems)):
        raise UserError(_listing(problems, blankable))
    rows = table.rows.copy()
    bad = np.zeros(len(rows), dtype=bool)
    for problem in blankable:
        rows.loc[rows.index[problem.row], problem.field] = ""
        bad[problem.row] = True
    kept = np.flatnonzero(~bad | (rows["split"] == "test").to_numpy())
    return replace(table, rows=rows.iloc[kept].reset_index(drop=True)), kept


def _listing(problems: list[Problem], blankable: list[Problem]) -> str:
    count = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
    lines = [f"{count} in the data:", *(f"  {problem}" for problem in problems)]
    if len(blankable) == len(problems):
        lines.append(
            "Mend them, or pass --on-bad-rows blank: test rows then get a grey image or an empty "
            "caption, train and val rows are left out."
        )
    else:
        lines.append("Mend them and run again; nothing was written.")
    return "\n".join(lines)
