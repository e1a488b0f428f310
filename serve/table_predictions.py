"""Score a table part by part: results are appended as they come, and memory does not grow."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from extract.new_memes import pictures_folder, read_new_memes, read_single_meme
from extract.spaces.checkpoint import any_checkpoint
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import ReadResult
from heads.config import TRAINED
from heads.ensemble.submission import to_csv
from runtime import memefuse_version
from runtime.files.atomic_files import PARTIAL
from runtime.lock import locked
from runtime.processes import pause_collection
from runtime.progress import log, progress
from serve.config import PredictConfig, parse_prior
from serve.drift.batch_drift import SAMPLE, BatchDrift, DriftCheck, start_batch
from serve.finished_models import require_models
from serve.resumable_results import continue_results, finish

if TYPE_CHECKING:
    # Import the models' libraries, which takes seconds: mistakes are refused before.
    from extract.predict import LoadedSpaces
    from heads.predict import Scorer

PART_ROWS = 2048
"""Memes that are decoded, embedded, scored and written at a time."""


@dataclass(frozen=True)
class LoadedRun:
    """The models of a run, loaded once, and the settings with which they score tables."""

    config: PredictConfig
    run: Path
    spaces: "LoadedSpaces"
    scorer: "Scorer"
    drift: DriftCheck | None
    """None for one meme, and for runs of older versions."""

    def lines(
        self, reading: ReadResult, batch: BatchDrift | None = None, done: int = 0
    ) -> Iterator[str]:
        """Yield CSV lines of PART_ROWS memes at a time, from row `done` on; a header at row 0.

        The memes are added to `batch` before their lines are yielded.
        """
        table, _, notes = reading
        on_bad_rows, prior = self.config.on_bad_rows, parse_prior(self.config.prior)
        audit = self.audit() if self.config.audit else {}
        with progress("score", len(table) - done, "memes") as advance:
            for start in range(done, len(table), PART_ROWS):
                rows = table.rows.iloc[start : start + PART_ROWS].reset_index(drop=True)
                memes = self.spaces.load((replace(table, rows=rows), [], notes), on_bad_rows)
                notes = []
                embedded = self.spaces.embed(memes)
                trained = self.scorer.score(embedded, TRAINED)
                if batch is not None:
                    batch.add(memes.captions(), embedded, trained)
                probability = self.scorer.adjust(trained, prior)
                columns = {
                    "id": rows["id"],
                    "probability": probability,
                    "label": (probability > self.scorer.threshold).astype(int),
                }
                if self.spaces.checkpoint.read_captions:
                    columns["caption"] = memes.captions()
                yield to_csv({**columns, **audit}, header=start == 0)
                advance(len(rows))

    def audit(self) -> dict[str, Any]:
        """Return what every row says of the model that scored it."""
        return {
            "threshold": self.scorer.threshold,
            "prior": self.config.prior,
            "run": self.run.name,
            "stamp": self.scorer.stamp,
            "ensemble": self.scorer.ensemble_checksum,
            "version": memefuse_version(),
        }


def predict_table(config: PredictConfig, run: Path, write: Callable[[str], None]) -> Path | None:
    """Score the memes that `config` names; return the file, or None if `write` got the CSV.

    Raises UserError for bad rows (unless blanked), an unfinished or damaged run, or a file that
    cannot be written or that another command is writing.
    """
    out = config.out
    lock = locked(Path(f"{out}{PARTIAL}"), flag="--out") if out else nullcontext()
    with lock, pictures_folder(out) as folder:
        return _predict_table(config, run, write, folder)


def _predict_table(
    config: PredictConfig, run: Path, write: Callable[[str], None], unpack_to: Path
) -> Path | None:
    require_models(run)  # an unfinished run is the first thing to say
    if config.data is None:
        image = None if config.image is None else Path(config.image)
        reading = read_single_meme(image, config.text)
    else:
        where = unpack_to, config.image_folder
        reading = read_new_memes(Path(config.data), run / "backbones", *where)
    reading = without_bad_rows(reading, config.on_bad_rows)
    loaded = load_run(config, run)
    made_from = {**describe_model(config, loaded.scorer), "memes": _checksum(reading)}
    if config.out is None:
        batch = start_batch(loaded.drift)
        for part in loaded.lines(reading, batch):
            write(part)
        report_drift(loaded, batch)
        return None
    out = Path(config.out)
    partial, done = continue_results(out, {**made_from, "drift": loaded.drift is not None})
    batch = start_batch(loaded.drift, partial, done)
    with partial.open("a", encoding="utf-8", newline="") as file:
        for part in loaded.lines(reading, batch, done):
            file.write(part)
            file.flush()
    report_drift(loaded, batch, out.with_name(f"{out.name}.drift.json"))
    finish(partial, out)
    for suffix in (".json", SAMPLE):
        partial.with_name(f"{partial.name}{suffix}").unlink(missing_ok=True)
    return out


def report_drift(loaded: LoadedRun, batch: BatchDrift | None, file: Path | None = None) -> None:
    """Say whether the memes of a batch have drifted; with --audit, also write it into `file`."""
    if file is not None:
        file.unlink(missing_ok=True)  # it is about results that are replaced now
    if batch is not None:
        batch.report(file if loaded.config.audit else None, loaded.audit())


def load_run(config: PredictConfig, run: Path) -> LoadedRun:
    """Load the models of a run. Raises UserError if it is unfinished or damaged."""
    with pause_collection():
        from extract.predict import load_spaces
        from heads.predict import load_scorer
        from serve.drift.drift_reference import load_check

        scorer = load_scorer(run, any_checkpoint(run / "backbones").stamp)
        drift = load_check(run, scorer) if config.data is not None else None
        with ThreadPoolExecutor(1) as pool:
            # Mostly reading of files, which leaves this thread its core.
            heads_loaded = pool.submit(scorer.load_models)
            spaces = load_spaces(run / "backbones", config.device)
            heads_loaded.result()
    return LoadedRun(config, run, spaces, scorer, drift)


def describe_model(config: PredictConfig, scorer: "Scorer") -> dict[str, Any]:
    """Log how memes are scored; return what results depend on, besides the memes."""
    log(f"prior: {parse_prior(config.prior)}; threshold {scorer.threshold:.4g}")
    if config.data is not None:
        from serve.drift.drift_reference import say_if_unchecked

        say_if_unchecked(scorer.run)
    asked = {k: getattr(config, k) for k in ("prior", "audit", "on_bad_rows", "image_folder")}
    return {"stamp": scorer.stamp, "ensemble": scorer.ensemble_checksum, **asked}


def without_bad_rows(reading: ReadResult, on_bad_rows: str) -> ReadResult:
    """Stop at faults of the table before anything is loaded, or blank what is bad."""
    table, problems, notes = reading
    return resolve_bad_rows(table, problems, on_bad_rows)[0], [], notes


def _checksum(reading: ReadResult) -> str:
    """Return a hash of ids, captions and paths of pictures, in their order."""
    rows = reading[0].rows[["id", "caption", "image"]]
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return hashlib.sha256(np.ascontiguousarray(hashes).tobytes()).hexdigest()
