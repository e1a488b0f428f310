"""Measure a run's held-out memes, for `submit`, which writes them beside the ensemble."""

from dataclasses import asdict

import numpy as np

from heads.base import evenly_spaced
from heads.predict import Scorer, load_scorer
from heads.report.finished_run import FinishedRun
from runtime.files.atomic_files import atomic_write
from serve.drift.drift_reference import DriftReference, reference_path
from serve.drift.meme_quantities import (
    SPACE,
    caption_keys,
    caption_quantities,
    load_tokenizer,
    meme_keys,
    nearest_similarity,
    one_per_caption,
    unit_vectors,
)

MAX_MEMES = 10_000
"""Most held-out memes that are kept, evenly spaced."""

MAX_TRAINING = 20_000
"""Most training memes that distances are measured to, evenly spaced."""


def write_reference(run: FinishedRun) -> None:
    """Write heads/drift.npz; nothing if the run has no models to predict with."""
    if not (run.folder / "backbones").is_dir():
        return
    scorer = load_scorer(run.folder, run.table.attributes["stamp"])
    training = training_rows(run)
    _, quantities = held_out_quantities(run, scorer, training)
    reference = DriftReference(np.array(scorer.ensemble_checksum), quantities, training)
    with atomic_write(reference_path(run.folder)) as partial, partial.open("wb") as file:
        np.savez(file, **asdict(reference))


def held_out_quantities(
    run: FinishedRun, scorer: Scorer, training: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of at most MAX_MEMES held-out memes, one per caption, and their quantities.

    int64 (R,) and float64 (R, 4). Distances are to the rows `training`, int64 (T,).
    """
    rows, probability = scorer.held_out_rows, scorer.score_held_out()
    columns = run.projected(run.common_space())
    captions = [run.memes[row].caption for row in rows]
    distinct = _distinct(captions, columns[rows])
    distinct = distinct[evenly_spaced(len(distinct), MAX_MEMES)]
    rows = rows[distinct]
    captions = [captions[index] for index in distinct]
    distance = np.full(len(rows), np.nan)
    if run.common_space().name == SPACE:
        group = run.table.rows.group
        vectors = unit_vectors(columns[rows]), unit_vectors(columns[training])
        distance = 1 - nearest_similarity(*vectors, (group[rows], group[training]))
    tokens = caption_quantities(captions, load_tokenizer(run.folder / "backbones"))
    return rows, np.column_stack([probability[distinct], *tokens, distance])


def _distinct(captions: list[str], columns: np.ndarray) -> np.ndarray:
    """Return the indices of memes that are compared, of equal ones one: int64, ascending."""
    keys = meme_keys(captions, columns)
    first = np.sort(np.unique(keys, return_index=True)[1])
    return first[one_per_caption(caption_keys(captions, keys)[first])]


def training_rows(run: FinishedRun) -> np.ndarray:
    """Return the rows that distances are measured to: at most MAX_TRAINING train and val rows."""
    rows = np.flatnonzero(run.table.rows.labelled)
    return rows[evenly_spaced(len(rows), MAX_TRAINING)]
