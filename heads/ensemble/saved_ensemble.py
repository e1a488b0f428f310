"""Save and load the ensemble: in a run's heads folder, ensemble.json and npz files."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from heads.ensemble.ensemble import EnsembleRecord
from runtime.array_files import read_arrays
from runtime.atomic_files import atomic_write
from runtime.json_files import read_dataclass

RESUBMIT = "Run first: python pipeline.py submit"
"""Remedy in the error message for a missing or damaged ensemble."""

ENSEMBLE_FILE = "ensemble.npz"

WITHOUT_FINE_TUNING_FILE = "without_fine_tuning.npz"
"""Probabilities of the ensemble of the label-free spaces alone."""


@dataclass(frozen=True)
class EnsembleProbabilities:
    """The ensemble's probabilities of the run's rows; see `Probabilities` for shapes and NaN."""

    held_out: np.ndarray
    final: np.ndarray
    row_threshold: np.ndarray


def read_ensemble(heads: Path) -> EnsembleRecord:
    """Read ensemble.json in the heads folder of a run. Raises UserError if there is none."""
    return read_dataclass(EnsembleRecord, heads / "ensemble.json", RESUBMIT)


def save_ensemble_probabilities(
    heads: Path, probabilities: EnsembleProbabilities, file: str = ENSEMBLE_FILE
) -> None:
    """Write ensemble.npz, or another `file`, into the heads folder of a run."""
    with atomic_write(heads / file) as partial, partial.open("wb") as opened:
        np.savez(opened, **asdict(probabilities))


def read_ensemble_probabilities(heads: Path, file: str = ENSEMBLE_FILE) -> EnsembleProbabilities:
    """Read what `save_ensemble_probabilities` wrote. Raises UserError if there is none."""
    names = tuple(EnsembleProbabilities.__annotations__)
    return EnsembleProbabilities(**read_arrays(heads / file, names, RESUBMIT))
