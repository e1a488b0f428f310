"""The quantities of a run's held-out memes: written by `submit`, read by `predict` and `serve`."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from heads.base import evenly_spaced
from heads.fitting.pca_projection import REPROJECT
from heads.predict import Scorer, load_scorer
from heads.report.finished_run import FinishedRun, read_run
from runtime.array_files import read_array, read_arrays
from runtime.atomic_files import atomic_write
from runtime.file_checksums import file_checksum
from runtime.progress import log
from serve.drift.batch_drift import DriftCheck
from serve.drift.meme_quantities import (
    SPACE,
    Measures,
    caption_quantities,
    load_tokenizer,
    nearest_similarity,
    unit_vectors,
)

MAX_MEMES = 10_000
"""Most held-out memes that are kept."""

MAX_TRAINING = 20_000
"""Most training memes that distances are measured to. Of more, evenly spaced ones stand for all."""

RESUBMIT = "Delete it and run: python pipeline.py submit"


@dataclass(frozen=True)
class DriftReference:
    """What is known of a run's held-out memes. Content of heads/drift.npz."""

    ensemble: np.ndarray
    """str (): checksum of the ensemble.json whose probabilities these are."""
    quantities: np.ndarray
    """float64 (R, 4): those of distinct held-out train and val memes. Distances are to memes of
    other groups of near-duplicates: those of new memes are mostly not in the training data."""
    training: np.ndarray
    """int64 (T,): rows of features.h5 that distances are measured to."""


def write_reference(folder: Path) -> None:
    """Write heads/drift.npz of a finished run; nothing if the run has no models to predict with."""
    if not (folder / "backbones").is_dir():
        return
    run = read_run(folder)
    scorer = load_scorer(folder, run.table.attributes["stamp"])
    training = np.flatnonzero(run.table.rows.labelled)
    training = training[evenly_spaced(len(training), MAX_TRAINING)]
    _, quantities = held_out_quantities(run, scorer, training)
    reference = DriftReference(np.array(_ensemble_checksum(folder)), quantities, training)
    with atomic_write(_path(folder)) as partial, partial.open("wb") as file:
        np.savez(file, **asdict(reference))


def held_out_quantities(
    run: FinishedRun, scorer: Scorer, training: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of at most MAX_MEMES distinct held-out memes, and their quantities.

    int64 (R,) and float64 (R, 4). Distances are to the rows `training`, int64 (T,).
    """
    rows, probability = scorer.held_out_rows, scorer.score_held_out()
    columns = run.projected(run.common_space())
    keys = [(run.memes[row].caption, columns[row].tobytes()) for row in rows]
    distinct = np.array(sorted(dict(zip(keys, range(len(keys)), strict=True)).values()))
    distinct = distinct[evenly_spaced(len(distinct), MAX_MEMES)]
    rows = rows[distinct]
    captions = [run.memes[row].caption for row in rows]
    distance = np.full(len(rows), np.nan)
    if run.common_space().name == SPACE:
        group = run.table.rows.group
        vectors = unit_vectors(columns[rows]), unit_vectors(columns[training])
        distance = 1 - nearest_similarity(*vectors, (group[rows], group[training]))
    tokens = caption_quantities(captions, load_tokenizer(run.folder / "backbones"))
    return rows, np.column_stack([probability[distinct], *tokens, distance])


def read_reference(folder: Path) -> DriftReference | None:
    """Read what `write_reference` wrote; None if it is missing or of another ensemble.

    Raises UserError if the file is damaged.
    """
    path = _path(folder)
    if not path.is_file():
        return None
    reference = DriftReference(**read_arrays(path, tuple(DriftReference.__annotations__), RESUBMIT))
    return reference if str(reference.ensemble) == _ensemble_checksum(folder) else None


def say_if_unchecked(folder: Path) -> None:
    """Say how a run of an older version gets its reference."""
    if read_reference(folder) is None:
        log(
            f"no check for drift: {_path(folder)} is missing, or of another ensemble. "
            "To get it, run: python pipeline.py submit"
        )


def load_check(folder: Path, scorer: Scorer) -> DriftCheck | None:
    """Load what checks new memes for drift; None if the run lacks it, as those of older versions.

    Raises UserError for damaged files.
    """
    reference = read_reference(folder)
    if reference is None:
        return None
    projection, training = scorer.projections.get(SPACE), np.zeros((0, 0), np.float32)
    if projection is not None:
        columns = read_array(folder / "heads" / "projections" / f"{SPACE}.npy", REPROJECT)
        training = unit_vectors(columns[reference.training])
    measures = Measures(load_tokenizer(folder / "backbones"), projection, training)
    return DriftCheck(reference.quantities, measures)


def _path(folder: Path) -> Path:
    return folder / "heads" / "drift.npz"


def _ensemble_checksum(folder: Path) -> str:
    return file_checksum(folder / "heads" / "ensemble.json")
