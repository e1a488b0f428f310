"""The user's rows and pictures: every one is looked at, and all that is wrong is counted."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from extract.config import ExtractConfig
from extract.data.bad_rows import Problem, resolve_bad_rows
from extract.data.image_decoding import Pictures, decode_pictures
from extract.data.meme_table import MemeTable
from extract.data.read_memes import read_memes
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.spaces.setup import columns_named
from runtime.errors import UserError

THUMBNAIL = 8
"""Side in pixels to which pictures are decoded here: a file is broken or whole at any size."""

LISTED = 5
"""Problems that are shown."""

Memes = tuple[MemeTable, Pictures]


def check_data(config: ExtractConfig, folder: Path) -> tuple[Memes | None, list[Finding]]:
    """Read every row and decode every picture.

    Returns what is left without the rows that are at fault, or None if nothing can be read.
    """
    try:
        table, problems, notes = read_memes(folder, columns_named(config))
    except UserError as error:
        return None, [Finding(FAIL, "data", str(error))]
    # Which filter makes thumbnails does not matter: nobody looks at them.
    pictures, undecodable = decode_pictures(table, THUMBNAIL, "bilinear")
    problems += undecodable
    findings = [Finding(OK, "data", "\n".join(notes)), _rows(table, problems, config.on_bad_rows)]
    table, kept = _sound(table, problems)
    if not {"train", "test"} <= set(table.rows["split"]):
        return None, findings
    return (table, replace(pictures, index=pictures.index[kept])), findings


def _rows(table: MemeTable, problems: list[Problem], on_bad_rows: str) -> Finding:
    if not problems:
        said = f"all {len(table):,} are sound, all pictures can be decoded"
        return Finding(OK, "rows", said)
    lines = [f"{len(problems):,} bad rows:", *map(str, problems[:LISTED])]
    if len(problems) > LISTED:
        lines.append(f"... and {len(problems) - LISTED:,} more")
    found = "\n".join(lines)
    blankable = [problem for problem in problems if problem.field]
    splits = Counter(table.rows["split"].iloc[list({problem.row for problem in blankable})])
    left_out = splits["train"] + splits["val"]
    done = f"{splits['test']:,} test rows blanked, {left_out:,} train and val rows left out"
    if len(blankable) < len(problems):
        worse = next(problem for problem in problems if not problem.field)
        advice = f"mend them; --on-bad-rows blank helps with {len(blankable):,}, not with {worse}"
        return Finding(FAIL, "rows", found, advice)
    if on_bad_rows == "stop":
        advice = f"mend them, or --on-bad-rows blank lets it go on: {done}"
        return Finding(FAIL, "rows", found, advice)
    return Finding(WARNING, "rows", found, f"--on-bad-rows blank lets it go on: {done}")


def _sound(table: MemeTable, problems: list[Problem]) -> tuple[MemeTable, np.ndarray]:
    """The rows that can be used, as `resolve_bad_rows` leaves them, and their positions."""
    settled, kept = resolve_bad_rows(
        table, [problem for problem in problems if problem.field], "blank"
    )
    rows = settled.rows
    labelled = ((rows["label"] >= 0) | (rows["split"] == "test")).to_numpy()
    return replace(settled, rows=rows[labelled].reset_index(drop=True)), kept[labelled]
