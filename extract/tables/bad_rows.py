"""Handle invalid rows: stop, or blank the bad test rows and leave out the others."""

from dataclasses import replace

import numpy as np

from extract.config import ON_BAD_ROWS
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem, summarise
from runtime.errors import UserError

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
        if problem.field != "label":
            rows.loc[rows.index[problem.row], problem.field] = ""
        bad[problem.row] = True
    if "decided" in rows:
        rows.loc[bad, "decided"] = -1  # the reviewer did not see a grey picture
    positions = np.flatnonzero(~bad | (rows["split"] == "test").to_numpy())
    return replace(table, rows=rows.iloc[positions].reset_index(drop=True)), positions


def are_few(problems: list[Problem], rows: int) -> bool:
    """Return whether the bad rows are so few that leaving them out is good advice.

    Rows without a label are not counted: whatever the cause, nothing can be learnt from them.
    """
    labelled = sum(problem.field != "label" for problem in problems)
    return labelled <= max(MAX_BLANK_ROWS, MAX_BLANK_SHARE * rows)


def _error_message(problems: list[Problem], blankable: list[Problem], rows: int) -> str:
    count = f"{len(problems)} bad row{'s' if len(problems) > 1 else ''}"
    lines = [f"{count} in the data:", *(f"  {line}" for line in summarise(problems))]
    lines += dict.fromkeys(f"{problem.advice}." for problem in problems if problem.advice)
    if len(blankable) == len(problems) and are_few(problems, rows):
        lines.append(
            "Fix them, or pass --on-bad-rows blank: test rows then get a grey image or an empty "
            "caption, and train and val rows are left out."
        )
    else:
        lines.append("Fix them and run again. No file was written.")
    return "\n".join(lines)
