"""Save and load the ensemble: in a run's heads folder, ensemble.json and npz files."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runtime.files.array_files import read_arrays
from runtime.files.atomic_files import atomic_write
from runtime.files.file_checksums import file_checksum
from runtime.files.json_files import read_dataclass

RESUBMIT = "Run first: python pipeline.py submit"
"""Remedy in the error message for a missing or damaged ensemble."""

ENSEMBLE_FILE = "ensemble.npz"

WITHOUT_FINE_TUNING_FILE = "without_fine_tuning.npz"
"""Probabilities of the ensemble of the label-free spaces alone."""


@dataclass(frozen=True)
class EnsembleRecord:
    """Content of heads/ensemble.json."""

    stamp: str
    """Identity of the features that the members were fitted on."""
    kind: str
    """Name in ENSEMBLES."""
    weights: dict[str, float]
    """Weight of each head offered; 0 means that it is not a member."""
    calibration: dict[str, Any]
    offset: float
    """Added to the logits of val and test rows, to fit val's share of positives."""
    trained_prior: float
    """Share of positives among the rows that the ensemble was calibrated on."""
    prior: float | None
    """Share of positives that the probabilities were adjusted to, None if they were not."""
    threshold: dict[str, Any]
    scores: dict[str, Any]
    tried: list[dict[str, Any]]
    """For each kind that was tried: kind, log_loss, auroc on held-out rows."""
    members: list[dict[str, Any]]
    """For each head: name, weight, and its gains in the ensemble's AUROC and log loss."""
    correlation: list[list[float]]
    """Correlation matrix of the heads' held-out logits, in the order of `members`."""
    without_fine_tuning: dict[str, Any] | None
    """Threshold and scores of the same ensemble of the label-free spaces alone; None if the run
    has no fine-tuned space or no other."""
    operating_points: list[dict[str, Any]] = field(default_factory=list)
    """One `OperatingPoint` for each target of `submit`."""
    review_band: dict[str, Any] | None = None
    """A `ReviewBand`; None if no two targets span one."""


@dataclass(frozen=True)
class EnsembleProbabilities:
    """The ensemble's probabilities of the run's rows; see `Probabilities` for shapes and NaN."""

    held_out: np.ndarray
    final: np.ndarray
    row_threshold: np.ndarray


def read_ensemble(heads: Path) -> EnsembleRecord:
    """Read ensemble.json in the heads folder of a run. Raises UserError if there is none."""
    return read_dataclass(EnsembleRecord, heads / "ensemble.json", RESUBMIT)


def ensemble_checksum(run: Path) -> str:
    """Return the checksum of a run's ensemble.json, which changes with its heads and features."""
    return file_checksum(run / "heads" / "ensemble.json")


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
