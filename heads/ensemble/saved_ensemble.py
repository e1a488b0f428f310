"""The ensemble on disk: heads/ensemble.json and its probabilities."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from heads.ensemble.ensemble import Ensemble
from runtime.array_files import read_arrays
from runtime.atomic_files import replacing
from runtime.json_files import read_dataclass

RESUBMIT = "Run first: python pipeline.py submit"


@dataclass(frozen=True)
class Ensembled:
    """What the ensemble says of every row: as `Probabilities`, and NaN in the same places."""

    held_out: np.ndarray
    final: np.ndarray
    row_threshold: np.ndarray


def read_ensemble(heads: Path) -> Ensemble:
    """ensemble.json in the folder of the heads. Raises UserError if there is none."""
    return read_dataclass(Ensemble, heads / "ensemble.json", RESUBMIT)


def save_ensembled(heads: Path, said: Ensembled) -> None:
    """Write ensemble.npz into the folder of the heads."""
    with replacing(heads / "ensemble.npz") as partial, partial.open("wb") as file:
        np.savez(file, **asdict(said))


def read_ensembled(heads: Path) -> Ensembled:
    """Read what `save_ensembled` wrote. Raises UserError if there is none."""
    names = tuple(Ensembled.__annotations__)
    return Ensembled(**read_arrays(heads / "ensemble.npz", names, RESUBMIT))
