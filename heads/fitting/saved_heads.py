"""Save and load fitted heads: heads/<name>/ with models, probabilities and head.json."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heads.registry import ENTRIES, REFIT
from runtime.errors import UserError
from runtime.files.array_files import read_arrays
from runtime.files.atomic_files import atomic_write, atomic_write_folder
from runtime.files.json_files import read_dataclass, write_json

if TYPE_CHECKING:
    # Imports scikit-learn, which reading a saved head does not need.
    from heads.fitting.cross_validation import FittedHead


@dataclass(frozen=True)
class HeadRecord:
    """Content of head.json."""

    name: str
    stamp: str
    """Identity of the features that the head was fitted on."""
    member: bool
    """Whether the head is offered to the ensemble."""
    metric: str
    """Name of the metric that the threshold was tuned for."""
    kinds: list[dict[str, Any]]
    """For each kind of space: name, choice, fitted_rows, spaces (name and number of models),
    calibration, auroc (held_out, test)."""
    blend: list[str]
    """The kinds of spaces that the head uses."""
    threshold: dict[str, Any]
    seconds: float
    scores: dict[str, Any]


@dataclass(frozen=True)
class Probabilities:
    """A head's probabilities of the run's rows."""

    held_out: np.ndarray
    """float64 (N,): from fits that did not see the row; NaN for rows that are not reported on."""
    final: np.ndarray
    """float64 (N,): of test rows, from all fits; NaN elsewhere."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's part; NaN where `held_out` is NaN."""
    kind_held_out: np.ndarray
    """float64 (kinds, N): like `held_out`, for each kind of space, not calibrated."""
    kind_final: np.ndarray
    """float64 (kinds, N): like `final`, for each kind of space, not calibrated."""


def save_head(
    folder: Path, record: HeadRecord, fitted: "dict[str, FittedHead]", probabilities: Probabilities
) -> None:
    """Save one head. Replaces the whole folder if it exists."""
    with atomic_write_folder(folder) as partial:
        for one in fitted.values():
            for space, models in one.models.items():
                for number, model in enumerate(models):
                    model_folder = partial / space / f"fit_{number}"
                    model_folder.mkdir(parents=True)
                    model.save(model_folder)
        np.savez(partial / "probabilities.npz", **asdict(probabilities))
        write_json(partial / "head.json", asdict(record))


def load_models(folder: Path, record: HeadRecord, kind: str) -> dict[str, list[Any]]:
    """Load the models of a saved head in one kind of space: space name -> models."""
    head_class = ENTRIES[record.name].load()
    spaces = next(one["spaces"] for one in record.kinds if one["name"] == kind)
    models = {
        space: [head_class.load(folder / space / f"fit_{number}") for number in range(count)]
        for space, count in spaces.items()
    }
    for fits in models.values():
        head_class.share(fits)
    return models


def saved_heads(folder: Path) -> list[str]:
    """Return the names of the heads in the heads folder of a run, in the order of the registry."""
    return [name for name in ENTRIES if (folder / name / "head.json").is_file()]


def read_record(folder: Path) -> HeadRecord:
    """Read head.json from the folder of one head."""
    return read_dataclass(HeadRecord, folder / "head.json", REFIT)


def read_records(folder: Path, stamp: str) -> list[HeadRecord]:
    """Read head.json of every head in the heads folder of a run, in the order of the registry.

    Raises UserError if there is none, or if one was fitted on features with another stamp.
    """
    records = [read_record(folder / name) for name in saved_heads(folder)]
    if not records:
        raise UserError(f"{folder} has no heads. Run first: python pipeline.py fit-heads")
    stale = [record.name for record in records if record.stamp != stamp]
    if stale:
        raise UserError(
            f"{folder}: {', '.join(stale)} fitted on other features than those in features.h5 now. "
            "Run: python pipeline.py fit-heads"
        )
    return records


def read_probabilities(folder: Path) -> Probabilities:
    """Read the probabilities that `save_head` wrote."""
    names = tuple(Probabilities.__annotations__)
    return Probabilities(**read_arrays(folder / "probabilities.npz", names, REFIT))


def save_parts(heads: Path, stamp: str, part: np.ndarray) -> None:
    """Write parts.npz: the part of each row, int (N,), and the stamp of the features."""
    with atomic_write(heads / "parts.npz") as partial, partial.open("wb") as file:
        np.savez(file, stamp=stamp, part=part)


def read_parts(heads: Path, stamp: str) -> np.ndarray | None:
    """Read what `save_parts` wrote; None if there is no file, or it has another stamp."""
    path = heads / "parts.npz"
    if not path.is_file():
        return None
    remedy = "Delete it and run: python pipeline.py fit-heads"
    found = read_arrays(path, ("stamp", "part"), remedy)
    return found["part"] if found["stamp"] == stamp else None
