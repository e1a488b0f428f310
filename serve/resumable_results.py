"""Results in a file that grows, and which the same command continues after it was killed.

A file that is being written has the suffix .partial, and beside it a file with what it was made
from.
"""

import csv
import io
from pathlib import Path
from typing import Any

from runtime.files.atomic_files import PARTIAL, flush
from runtime.files.json_files import read_object, write_json
from runtime.progress import log


def continue_results(out: Path, made_from: dict[str, Any]) -> tuple[Path, int]:
    """Return the unfinished file of `out` and the number of memes that it holds already."""
    partial = out.with_name(f"{out.name}{PARTIAL}")
    state = partial.with_name(f"{partial.name}.json")
    if partial.is_file() and state.is_file():
        if read_object(state, "Delete it") == made_from:
            done = _drop_cut_line(partial)
            log(f"{partial}: continuing after {done} memes")
            return partial, done
        log(f"{partial} is from other memes or another model: starting again")
    partial.write_text("")
    write_json(state, made_from)
    return partial, 0


def _drop_cut_line(partial: Path) -> int:
    """Cut a line that a kill left unfinished; return the number of memes in the others."""
    content = partial.read_bytes()
    end = content.rfind(b"\n") + 1
    # A line end inside quotes does not end a row.
    while content.count(b'"', 0, end) % 2:
        end = content.rfind(b"\n", 0, end - 1) + 1
    whole = content[:end]
    partial.write_bytes(whole)
    rows = sum(1 for _ in csv.reader(io.StringIO(whole.decode("utf-8"), newline="")))
    return max(rows - 1, 0)


def finish(lines: Path, out: Path) -> None:
    """Give a file of CSV lines the format of `out`, and this name. A kill leaves no half file."""
    if out.suffix.lower() == ".csv":
        _rename(lines, out)
        return
    converted = lines.with_name(f"{lines.name}{out.suffix}")
    try:
        _convert(lines, converted)
        _rename(converted, out)
    finally:
        converted.unlink(missing_ok=True)
    lines.unlink()


def _convert(lines: Path, converted: Path) -> None:
    """Write the rows of a CSV file as Parquet or JSON lines. Types do not depend on the values."""
    import polars

    types = dict.fromkeys(
        ("id", "caption", "prior", "run", "stamp", "ensemble", "version"), polars.String
    )
    types |= dict.fromkeys(("probability", "threshold"), polars.Float64)
    rows = polars.scan_csv(lines, schema_overrides=types)
    if converted.suffix.lower() == ".parquet":
        rows.sink_parquet(converted)
    else:
        rows.sink_ndjson(converted)


def _rename(written: Path, out: Path) -> None:
    flush(written)
    written.replace(out)
    flush(out.parent)
