"""The quantities of a run's held-out memes, as `predict` and `serve` read them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heads.ensemble.saved_ensemble import ensemble_checksum
from heads.fitting.pca_projection import REPROJECT
from heads.predict import Scorer
from runtime.errors import argument
from runtime.files.array_files import read_array, read_arrays
from runtime.progress import log
from serve.drift.batch_drift import DriftCheck
from serve.drift.meme_quantities import SPACE, Measures, load_tokenizer, unit_vectors

RESUBMIT = "Delete it and run: python pipeline.py submit"


@dataclass(frozen=True)
class DriftReference:
    """What is known of a run's held-out memes. Content of heads/drift.npz."""

    ensemble: np.ndarray
    """str (): checksum of the ensemble.json whose probabilities these are."""
    quantities: np.ndarray
    """float64 (R, 4): of held-out train and val memes, one per caption. Distances are to memes of
    other groups of near-duplicates: those of new memes are mostly not in the training data."""
    training: np.ndarray
    """int64 (T,): rows of features.h5 that distances are measured to."""


def read_reference(folder: Path) -> DriftReference | None:
    """Read what `write_reference` wrote; None if it is missing or of another ensemble.

    Raises UserError if the file is damaged.
    """
    path = reference_path(folder)
    if not path.is_file():
        return None
    reference = DriftReference(**read_arrays(path, tuple(DriftReference.__annotations__), RESUBMIT))
    return reference if str(reference.ensemble) == ensemble_checksum(folder) else None


def say_if_unchecked(folder: Path) -> None:
    """Say how a run of an older version gets its reference."""
    if read_reference(folder) is None:
        log(
            f"no check for drift: {reference_path(folder)} is missing, or of another ensemble. "
            "To get it, run, with the same flags as before: python pipeline.py submit "
            f"--run {argument(folder.name)}"
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


def reference_path(folder: Path) -> Path:
    """Return the file of a run's reference."""
    return folder / "heads" / "drift.npz"
