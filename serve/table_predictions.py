"""Score a table part by part: results are appended as they come, and memory does not grow.

A file that is being written has the suffix .partial, and beside it a file with what it was made
from. The same command continues it after its last whole line.
"""

import csv
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from extract.predict import (
    LoadedSpaces,
    load_spaces,
    read_new_memes,
    read_single_meme,
    space_folders,
)
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import ReadResult
from heads.ensemble.submission import to_csv
from heads.predict import Scorer, load_scorer
from runtime import memefuse_version
from runtime.atomic_files import PARTIAL, remove_folder
from runtime.json_files import read_object, write_json
from runtime.progress import log, progress
from serve.config import PredictConfig, parse_prior

PART_ROWS = 2048
"""Memes that are decoded, embedded, scored and written at a time."""


def predict_table(config: PredictConfig, run: Path, write: Callable[[str], None]) -> Path | None:
    """Score the memes that `config` names; return the file, or None if `write` got the CSV.

    Raises UserError for bad rows (unless blanked), an unfinished or damaged run, or a file that
    cannot be written.
    """
    with _pictures_folder(config.out) as folder:
        return _predict_table(config, run, write, folder)


def _predict_table(
    config: PredictConfig, run: Path, write: Callable[[str], None], unpack_to: Path
) -> Path | None:
    backbones = run / "backbones"
    space_folders(backbones)  # an unfinished run is the first thing to say
    if config.data is None:
        image = None if config.image is None else Path(config.image)
        reading = read_single_meme(image, config.text)
    else:
        reading = read_new_memes(Path(config.data), backbones, unpack_to)
    reading = _without_bad_rows(reading, config.on_bad_rows)
    spaces = load_spaces(backbones, config.device)
    scorer = load_scorer(run, spaces.checkpoint.stamp)
    prior = parse_prior(config.prior)
    log(f"prior: {prior}; threshold {scorer.threshold:.4g}")
    audit = _audit(run, scorer, config.prior) if config.audit else {}
    if config.out is None:
        for part in _parts(reading, 0, spaces, scorer, config.on_bad_rows, prior, audit):
            write(part)
        return None
    out = Path(config.out)
    made_from = {"stamp": scorer.stamp, "memes": _checksum(reading), "prior": config.prior}
    partial, done = _continue(out, {**made_from, "audit": config.audit})
    with partial.open("a", encoding="utf-8", newline="") as file:
        for part in _parts(reading, done, spaces, scorer, config.on_bad_rows, prior, audit):
            file.write(part)
            file.flush()
    _finish(partial, out)
    return out


@contextmanager
def _pictures_folder(out: str | None) -> Iterator[Path]:
    """Yield where pictures are unpacked whose bytes the table holds; delete it at the end.

    Beside `out`, because temporary folders may be small, and because memes that a killed command
    has left must have the same paths when it is continued.
    """
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = Path(f"{out}{PARTIAL}.pictures")
    try:
        yield folder
    finally:
        remove_folder(folder)


def _without_bad_rows(reading: ReadResult, on_bad_rows: str) -> ReadResult:
    """Stop at faults of the table before anything is loaded, or blank what is bad."""
    table, problems, notes = reading
    return resolve_bad_rows(table, problems, on_bad_rows)[0], [], notes


def _parts(
    reading: ReadResult,
    done: int,
    spaces: LoadedSpaces,
    scorer: Scorer,
    on_bad_rows: str,
    prior: float | str,
    audit: dict[str, Any],
) -> Iterator[str]:
    """Yield CSV lines of PART_ROWS memes at a time, from row `done` on; a header at row 0."""
    table, _, notes = reading
    with progress("score", len(table) - done, "memes") as advance:
        for start in range(done, len(table), PART_ROWS):
            rows = table.rows.iloc[start : start + PART_ROWS].reset_index(drop=True)
            memes = spaces.load((replace(table, rows=rows), [], notes), on_bad_rows)
            notes = []
            probability = scorer.score(spaces.embed(memes), prior)
            columns = {
                "id": rows["id"],
                "probability": probability,
                "label": (probability > scorer.threshold).astype(int),
            }
            if spaces.checkpoint.read_captions:
                columns["caption"] = memes.captions()
            yield to_csv({**columns, **audit}, header=start == 0)
            advance(len(rows))


def _audit(run: Path, scorer: Scorer, prior: str) -> dict[str, Any]:
    """Return what every row says of the model that scored it."""
    return {
        "threshold": scorer.threshold,
        "prior": prior,
        "run": run.name,
        "stamp": scorer.stamp,
        "version": memefuse_version(),
    }


def _checksum(reading: ReadResult) -> str:
    """Return a hash of ids, captions and paths of pictures, in their order."""
    rows = reading[0].rows[["id", "caption", "image"]]
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return hashlib.sha256(np.ascontiguousarray(hashes).tobytes()).hexdigest()


def _continue(out: Path, made_from: dict[str, Any]) -> tuple[Path, int]:
    """Return the unfinished file and the number of memes that it holds already."""
    partial = out.with_name(f"{out.name}{PARTIAL}")
    state = out.with_name(f"{out.name}{PARTIAL}.json")
    if partial.is_file() and state.is_file():
        if _settings(state) == made_from:
            done = _drop_cut_line(partial)
            log(f"{partial}: continuing after {done} memes")
            return partial, done
        log(f"{partial} is from other memes or another model: starting again")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text("")
    write_json(state, made_from)
    return partial, 0


def _settings(state: Path) -> dict[str, Any]:
    return {k: v for k, v in read_object(state, "Delete it").items() if k != "xxh3"}


def _drop_cut_line(partial: Path) -> int:
    """Cut a line that a kill left unfinished; return the number of memes in the others."""
    content = partial.read_bytes()
    # A line end inside quotes does not end a row.
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    while ends and content[: ends[-1]].count(b'"') % 2:
        ends.pop()
    whole = content[: ends[-1]] if ends else b""
    partial.write_bytes(whole)
    rows = sum(1 for _ in csv.reader(io.StringIO(whole.decode("utf-8"), newline="")))
    return max(rows - 1, 0)


def _finish(partial: Path, out: Path) -> None:
    """Give the file its format and its name."""
    state = partial.with_name(f"{partial.name}.json")
    if out.suffix.lower() == ".csv":
        partial.replace(out)
    else:
        import polars

        as_text = dict.fromkeys(("id", "caption", "prior", "run", "stamp"), polars.String)
        rows = polars.scan_csv(partial, schema_overrides=as_text)
        if out.suffix.lower() == ".parquet":
            rows.sink_parquet(out)
        else:
            rows.sink_ndjson(out)
        partial.unlink()
    state.unlink()
