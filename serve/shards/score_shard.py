"""Score one shard: read its table, score it part by part, write the results at once."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from extract.new_memes import pictures_folder, read_new_memes
from runtime.errors import ADVICE, UserError, error_message
from runtime.files.atomic_files import PARTIAL
from runtime.progress import collect_messages, log
from serve.drift.batch_drift import start_batch
from serve.resumable_results import finish
from serve.shards.shard_list import Shard, made_from, mark_finished, mark_unfinished
from serve.table_predictions import (
    LoadedRun,
    report_drift,
    without_bad_rows,
)

ATTEMPTS = 2
"""Times that a shard which fails is tried: a network file system may fail for a moment."""

MAX_DEATHS = 3
"""Processes that may die of a shard in one command: after that, it is the shard that kills them."""


class Outcome(NamedTuple):
    """What became of a shard."""

    shard: str
    """Name of its table."""
    memes: int = 0
    messages: str = ""
    """Lines about its memes, such as how many were blanked."""
    failure: str = ""
    """Why it was not scored; empty if it was."""
    trace: str = ""
    """Where, if the failure is neither the data's nor the machine's."""


def score_shard(loaded: LoadedRun, shard: Shard, model: dict[str, Any]) -> Outcome:
    """Score a shard, again after a failure; its results are whole, or there are none.

    Two processes may do the same shard at once, as after a network failure: each has a file of its
    own, and the last one replaces the same bytes.
    """
    name = shard.table.name
    for _ in range(ATTEMPTS):
        try:
            with collect_messages() as messages:
                memes = _write(loaded, shard, model)
            return Outcome(name, memes, "\n".join(messages))
        except Exception as error:  # the other shards must not fail with this one
            outcome = Outcome(name, failure=_reason(error), trace=_trace(error))
    return outcome


def _write(loaded: LoadedRun, shard: Shard, model: dict[str, Any]) -> int:
    """Write the results and the record of a shard; return the number of its memes."""
    made = made_from(shard, model)
    lines = _claim(shard)
    try:
        with pictures_folder(lines) as folder:
            backbones, config = loaded.run / "backbones", loaded.config
            reading = read_new_memes(shard.table, backbones, folder, config.image_folder)
            reading = without_bad_rows(reading, config.on_bad_rows)
            with lines.open("w", encoding="utf-8", newline="") as file:
                batch = start_batch(loaded.drift)
                file.writelines(loaded.lines(reading, batch))
        report_drift(loaded, batch, shard.record.with_name(f"{shard.out.name}.drift.json"))
        mark_unfinished(shard)
        finish(lines, shard.out)
        mark_finished(shard, made)
    finally:
        lines.unlink(missing_ok=True)
    return len(reading[0])


def _claim(shard: Shard) -> Path:
    """Create a file for the lines of this attempt, which only the death of a process leaves behind.

    Raises UserError if MAX_DEATHS such files are there already.
    """
    for deaths in range(MAX_DEATHS):
        lines = shard.record.with_name(f"{shard.out.name}.{deaths}{PARTIAL}")
        with suppress(FileExistsError):
            lines.touch(exist_ok=False)
            if deaths:
                log(f"this is attempt {deaths + 1}: the process of the one before died")
            return lines
    raise UserError(
        f"{MAX_DEATHS} processes died of it, perhaps for lack of memory. Divide the shard, or use "
        "fewer --workers."
    )


def _is_expected(error: Exception) -> bool:
    """Return whether the data or the machine cause an error, rather than a defect of memefuse."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in ADVICE)


def _reason(error: Exception) -> str:
    return error_message(error) if _is_expected(error) else f"{type(error).__name__}: {error}"


def _trace(error: Exception) -> str:
    return "" if _is_expected(error) else "".join(traceback.format_exception(error))
