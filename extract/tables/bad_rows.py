"""Handle invalid rows: stop, or blank the bad test rows and leave out the others."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from extract.config import ON_BAD_ROWS
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem
from runtime.errors import UserError

LISTED = 3
"""Problems of one cause that are listed in full. More are counted, with LISTED examples."""

MAX_BLANK_SHARE, MAX_BLANK_ROWS = 0.1, 10
"""If more rows than both are bad, the cause is the table or the folder, not single rows."""


def resolve_bad_rows(
    table: MemeTable, problems: list[Problem], on_bad_rows: str
) -> tuple[MemeTable, np.ndarray]:
    """Stop at any problem, or blank bad test rows and leave out bad train and val rows.

    Returns the new table, and the positions of its rows in the given table (int64). A blanked
    caption is empty; a blanked image has an empty path. The caller must report every changed row.

    Raises UserError that lists every cause if `on_bad_rows` is `stop` or one cannot be blanked.
    """
    if on_bad_rows not in ON_BAD_ROWS:
        allowed = ", ".join(ON_BAD_ROWS)
        raise UserError(f'--on-bad-rows: found "{on_bad_rows}", allowed: {allowed}')
    blankable = [p for p in problems if p.field is not None]
    if problems and (on_bad_rows == "stop" or len(blankable) < len(problems)):
        raise UserError(_error_message(problems, blankable, len(table)))
    rows = table.rows.copy()
    bad = np.zeros(len(rows), dtype=bool)
    for problem in blankable:
        rows.loc[rows.index[problem.row], problem.field] = ""
        bad[problem.row] = True
    if "decided" in rows:
        rows.loc[bad, "decided"] = -1  # the reviewer did not see a grey picture
    positions = np.flatnonzero(~bad | (rows["split"] == "test").to_numpy())
    return replace(table, rows=rows.iloc[positions].reset_index(drop=True)), positions


def summarise(problems: list[Problem]) -> Iterator[str]:
    """Yield one line per problem, or, if more than LISTED have one cause, a count and examples."""
    causes: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        causes.setdefault(problem.cause, []).append(problem)
    for (file, _), same in causes.items():
        if len(same) <= LISTED:
            yield from map(str, same)
            continue
        yield f"{file}: {len(same)} rows have the same fault, for example:"
        yield from (f"  line {problem.line}: {problem.message}" for problem in same[:LISTED])


def are_few(problems: list[Problem], rows: int) -> bool:
    """Return whether the bad rows are so few that leaving them out is good advice."""
    return len(problems) <= max(MAX_BLANK_ROWS, MAX_BLANK_SHARE * rows)


def _error_message(problems: list[Problem], blankable: list[Problem], rows: int) -> str:
    count = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
    lines = [f"{count} in the data:", *(f"  {line}" for line in summarise(problems))]
    if len(blankable) == len(problems) and are_few(problems, rows):
        lines.append(
            "Fix them, or pass --on-bad-rows blank: test rows then get a grey image or an empty "
            "caption, and train and val rows are left out."
        )
    else:
        lines.append("Fix them and run again. No file was written.")
    return "\n".join(lines)
