"""The sample submission of a contest: which ids to predict, in which order, in which columns."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from extract.tables.meme_table import MemeTable
from extract.tables.parsing.parsed_table import Table
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.read_table import read_table
from extract.tables.parsing.text_cells import read_id
from runtime.errors import UserError, quoted, quoted_list

PROBABILITY_NAME = re.compile(r"proba?($|[^a-z])|probabilit|score|confidence", re.IGNORECASE)
"""Name of the column of probabilities in a submission of three columns."""


def apply_sample_submission(
    path: Path, table: MemeTable
) -> tuple[MemeTable, list[Problem], list[str]]:
    """Take the ids to predict, their order and the column names from the sample submission.

    Its columns are the id and the label in any order, and a probability if there is a third one, as
    DrivenData has them. Returns the new table, problems and notes. Raises UserError for other
    columns.
    """
    submission = read_table(path)
    names = submission.header
    written = table.rows["id"]
    table = _spelt_as_asked(table, submission)
    test = table.rows["id"][table.rows["split"] == "test"]
    notes = []
    if changed := int((written != table.rows["id"]).sum()):
        notes.append(
            f"{changed} test ids are spelt as in {submission.file}, such as {test.iloc[0]}."
        )
    id_column = _id_column(submission, set(test)) or names[0]
    others = [name for name in names if name != id_column]
    probability = [name for name in others if PROBABILITY_NAME.search(name)]
    if len(names) not in (2, 3) or (len(others) == 2 and len(probability) != 1):
        _raise_columns(submission)
    if any(read_id(name or "unnamed")[1] for name in names) or (len(names) == 3 and "" in names):
        _raise_columns(submission)
    label_column = next(n for n in others if len(others) == 1 or n not in probability)
    order, problems = _submission_order(submission, id_column, set(test))
    if not order:
        found = str(submission.records[0][1].get(id_column, ""))
        raise UserError(
            f"{submission.file}: no value of its column {quoted(id_column)}, such as "
            f"{quoted(found)}, is an id of test; test has ids such as {quoted(test.iloc[0])}. Name "
            "the column of test that holds these ids with --id-column, or remove the file: "
            "solution.csv then has all ids of test."
        )
    positions = [order.get(key, -1) for key in test]
    rows = table.rows.copy()
    rows.loc[test.index, "order"] = np.array(positions, dtype=np.int32)
    if omitted := positions.count(-1):
        notes.append(f"{submission.file} does not ask for {omitted} of the test ids.")
    applied = replace(
        table,
        rows=rows,
        id_column=id_column,
        label_column=label_column,
        submission_columns=names,
    )
    return applied, problems, notes


def _spelt_as_asked(table: MemeTable, submission: Table) -> MemeTable:
    """Spell the ids of test as the submission does, if they differ only as numbers do: 7 and 007.

    Spreadsheets remove leading zeros, and pandas writes 7.0. Ids are unchanged if any id of test
    is asked for as it is, or if two of them are the same number.
    """
    is_test = table.rows["split"] == "test"
    test = table.rows["id"][is_test]
    numbers = [_number(key) for key in test]
    if len({*numbers}) < len(numbers) or _id_column(submission, {*test}):
        return table
    column = _id_column(submission, {*numbers}, _number)
    asked = (
        {_number(str(fields.get(column, ""))): fields[column] for _, fields in submission.records}
        if column
        else {}
    )
    rows = table.rows.copy()
    rows.loc[is_test, "id"] = [
        asked.get(number, key) for number, key in zip(numbers, test, strict=True)
    ]
    return replace(table, rows=rows)


def _number(key: str) -> str:
    plain = key.strip().removesuffix(".0")
    return plain.lstrip("0") or "0" if plain.isdecimal() else key


def _id_column(submission: Table, test: set[str], spelt: Callable[[str], str] = str) -> str | None:
    """Return the column with most ids of test. Labels, such as 1, may be ids by chance."""
    cells = {
        name: {spelt(str(fields.get(name, ""))) for _, fields in submission.records}
        for name in submission.header
    }
    shares = {name: len(values & test) / len(values) for name, values in cells.items()}
    found = max(shares, key=lambda name: (shares[name], len(cells[name])))
    return found if shares[found] > 0.5 else None


def _raise_columns(submission: Table) -> NoReturn:
    index = ""
    if submission.header[0] in ("", "Unnamed: 0"):
        index = " The first one is an index, as pandas writes: remove it."
    raise UserError(
        f"{submission.file}: found the columns {quoted_list(submission.header)}; allowed are two, "
        "the id and the label, or three, one of them called proba, probability, score or "
        f"confidence; in UTF-8 and in one line each.{index}"
    )


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
