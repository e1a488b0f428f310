"""The sample submission of a contest: which ids to predict, in which order, in which columns."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from extract.tables.meme_table import MemeTable
from extract.tables.parsing.parsed_table import Table
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.read_table import read_table
from extract.tables.parsing.text_cells import read_id
from runtime.errors import UserError, quoted, quoted_list

PROBABILITY_NAMES = ("proba", "prob", "probability", "score")
"""Names of the column of probabilities in a submission of three columns, in lower case."""


def apply_sample_submission(
    path: Path, table: MemeTable
) -> tuple[MemeTable, list[Problem], list[str]]:
    """Take the ids to predict, their order and the column names from the sample submission.

    Its columns are the id and the label; or the id, a probability and the label, as DrivenData has
    them. Returns the new table, problems and notes. Raises UserError for other columns.
    """
    submission = read_table(path)
    names = submission.header
    probability = next((n for n in names[1:] if n.lower() in PROBABILITY_NAMES), None)
    if len(names) != 2 + (probability is not None and len(names) > 2) or any(
        read_id(name or "unnamed")[1] for name in names
    ):
        raise UserError(
            f"{submission.file}: found the columns {quoted_list(names)}; allowed are two, the id "
            f"and then the label, or three, one of them called {', '.join(PROBABILITY_NAMES)}; in "
            "UTF-8 and in one line each."
        )
    id_column = names[0]
    label_column = next(n for n in names[1:] if len(names) == 2 or n != probability)
    test = table.rows["id"][table.rows["split"] == "test"]
    order, problems = _submission_order(submission, id_column, set(test))
    if not order:
        raise UserError(
            f"{submission.file}: no value of its first column {quoted(id_column)} is an id of "
            f"test; test has ids such as {quoted(test.iloc[0])}. "
            "The first column must hold the ids."
        )
    positions = [order.get(key, -1) for key in test]
    rows = table.rows.copy()
    rows.loc[test.index, "order"] = np.array(positions, dtype=np.int32)
    omitted = [f"{submission.file} does not ask for {positions.count(-1)} of the test ids."]
    applied = replace(
        table,
        rows=rows,
        id_column=id_column,
        label_column=label_column,
        submission_columns=names,
    )
    return applied, problems, omitted if -1 in positions else []


def _submission_order(
    submission: Table, id_column: str, test: set[str]
) -> tuple[dict[str, int], list[Problem]]:
    """Return the row index of each id in the submission, and problems: unknown or repeated ids."""
    order, problems = {}, list(submission.problems)
    for line, fields in submission.records:
        key = str(fields.get(id_column, ""))
        if key in test and key not in order:
            order[key] = len(order)
            continue
        fault = "again, allowed once" if key in order else "which is not an id of test"
        message = f"column {id_column}: found {quoted(key)} {fault}"
        problems.append(Problem(submission.file, line, message))
    return order, problems
