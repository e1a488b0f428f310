"""Check the user's data: read every row, decode every picture and count the bad rows."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from extract.config import ExtractConfig
from extract.data.decided_rows import train_on_decisions
from extract.data.image_decoding import THUMBNAIL_SIZE, Pictures, decode_pictures
from extract.data.load_data import without_captions
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.folds.random_split import divide_rows
from extract.tables.bad_rows import are_few, resolve_bad_rows
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem, summarise
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from runtime.errors import UserError

MAX_LISTED = 5
"""Maximum of problems that are listed."""

Memes = tuple[MemeTable, Pictures]


def check_data(
    config: ExtractConfig, folder: Path, unpack_to: Path | None = None
) -> tuple[Memes | None, list[Finding]]:
    """Read every row and decode every picture; those whose bytes a table holds from `unpack_to`.

    Returns the rows without problems, or None if the data cannot be read or has no train or no
    test rows left.
    """
    try:
        options = replace(table_options(config), unpack_to=unpack_to)
        table, problems, notes = read_memes(folder, options)
    except UserError as error:
        return None, [Finding(FAIL, "data", str(error))]
    # Any interpolation will do: these pictures are not used.
    pictures, undecodable = decode_pictures(table, THUMBNAIL_SIZE, "bilinear")
    problems += undecodable
    findings = [
        Finding(OK, "data", "\n".join(notes)),
        _check_rows(table, problems, config.on_bad_rows),
    ]
    table, positions = _usable_rows(table, problems)
    loaded = without_captions(table, replace(pictures, index=pictures.index[positions]))
    if options.shares:
        try:
            loaded = divide_rows(loaded, options.shares, config.seed)
        except UserError as error:
            return None, [*findings, Finding(FAIL, "split", str(error))]
    elif not {"train", "test"} <= set(table.rows["split"]):
        return None, findings
    loaded = train_on_decisions(loaded)
    return (loaded.table, loaded.inputs.pictures), findings


def _check_rows(table: MemeTable, problems: list[Problem], on_bad_rows: str) -> Finding:
    if not problems:
        found = f"all {len(table):,} are valid, all pictures can be decoded"
        return Finding(OK, "rows", found)
    summary = list(summarise(problems))
    lines = [f"{len(problems):,} bad rows:", *summary[:MAX_LISTED]]
    if len(summary) > MAX_LISTED:
        lines.append(f"... and {len(summary) - MAX_LISTED:,} more lines")
    found = "\n".join(lines)
    blankable = [problem for problem in problems if problem.field]
    splits = Counter(table.rows["split"].iloc[list({problem.row for problem in blankable})])
    left_out = splits["train"] + splits["val"]
    effect = f"{splits['test']:,} test rows blanked, {left_out:,} train and val rows left out"
    if len(blankable) < len(problems):
        other = next(problem for problem in problems if not problem.field)
        advice = f"fix them; --on-bad-rows blank helps with {len(blankable):,}, not with {other}"
        return Finding(FAIL, "rows", found, advice)
    if on_bad_rows == "stop" and not are_few(problems, len(table)):
        advice = problems[0].advice or "so many bad rows have a common cause"
        return Finding(FAIL, "rows", found, f"fix them: {advice}")
    if on_bad_rows == "stop":
        advice = f"fix them, or continue with --on-bad-rows blank: {effect}"
        return Finding(FAIL, "rows", found, advice)
    return Finding(WARNING, "rows", found, f"--on-bad-rows blank continues: {effect}")


def _usable_rows(table: MemeTable, problems: list[Problem]) -> tuple[MemeTable, np.ndarray]:
    """Return the rows that are usable after `resolve_bad_rows` blanks, and their positions."""
    resolved, positions = resolve_bad_rows(
        table, [problem for problem in problems if problem.field], "blank"
    )
    rows = resolved.rows
    valid = ((rows["label"] >= 0) | (rows["split"] == "test")).to_numpy()
    return replace(resolved, rows=rows[valid].reset_index(drop=True)), positions[valid]
