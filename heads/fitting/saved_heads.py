"""Fitted heads on disk: heads/<name>/ with the models, their probabilities and head.json."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heads.base import REFIT
from heads.fitting.cross_validation import Fitted
from heads.registry import ENTRIES
from runtime.array_files import read_arrays
from runtime.atomic_files import replacing, replacing_folder
from runtime.errors import UserError
from runtime.json_files import read_dataclass, write_json


@dataclass(frozen=True)
class HeadRecord:
    """What head.json holds of one head."""

    name: str
    stamp: str
    """Identity of the features that it was fitted on."""
    member: bool
    """Offered to the ensemble."""
    metric: str
    kinds: list[dict[str, Any]]
    """Of each kind of space: name, choice, fitted_rows, spaces (name and number of models),
    calibration, auroc (held_out, test)."""
    blend: list[str]
    """The kinds of spaces that it listens to."""
    threshold: dict[str, Any]
    seconds: float
    scores: dict[str, Any]


@dataclass(frozen=True)
class Probabilities:
    """What a head says of every row of the run."""

    held_out: np.ndarray
    """float64 (N,): from fits that did not see the row; NaN off the rows that are reported on."""
    final: np.ndarray
    """float64 (N,): of test rows, from all fits; NaN elsewhere."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's own part, NaN where `held_out` is."""
    kind_held_out: np.ndarray
    """float64 (kinds, N): as `held_out`, by kind of space, not calibrated."""
    kind_final: np.ndarray
    """float64 (kinds, N): as `final`, by kind of space, not calibrated."""


def save_head(
    folder: Path, record: HeadRecord, fitted: dict[str, Fitted], probabilities: Probabilities
) -> None:
    """Write one head; what was there before is replaced as a whole."""
    with replacing_folder(folder) as partial:
        for one in fitted.values():
            for space, models in one.models.items():
                for number, model in enumerate(models):
                    place = partial / space / f"fit_{number}"
                    place.mkdir(parents=True)
                    model.save(place)
        np.savez(partial / "probabilities.npz", **asdict(probabilities))
        write_json(partial / "head.json", asdict(record))


def load_models(folder: Path, record: HeadRecord, kind: str) -> dict[str, list[Any]]:
    """The models of a saved head in one kind of space: space name -> models."""
    load = ENTRIES[record.name].load().load
    spaces = next(known["spaces"] for known in record.kinds if known["name"] == kind)
    return {
        space: [load(folder / space / f"fit_{number}") for number in range(count)]
        for space, count in spaces.items()
    }


def read_record(folder: Path) -> HeadRecord:
    """head.json of one head."""
    return read_dataclass(HeadRecord, folder / "head.json", REFIT)


def read_records(folder: Path, stamp: str) -> list[HeadRecord]:
    """head.json of every head in the run's `folder`, in the order of the registry.

    Raises UserError if there are none, or if one was fitted on other features than `stamp`.
    """
    found = [name for name in ENTRIES if (folder / name / "head.json").is_file()]
    records = [read_record(folder / name) for name in found]
    if not records:
        raise UserError(f"{folder} has no heads. Run first: python pipeline.py fit-heads")
    stale = [record.name for record in records if record.stamp != stamp]
    if stale:
        raise UserError(
            f"{folder}: {', '.join(stale)} fitted on other features than features.h5 holds now. "
            "Run: python pipeline.py fit-heads"
        )
    return records


def read_probabilities(folder: Path) -> Probabilities:
    """The probabilities that `save_head` wrote."""
    names = tuple(Probabilities.__annotations__)
    return Probabilities(**read_arrays(folder / "probabilities.npz", names, REFIT))


def save_parts(heads: Path, stamp: str, part: np.ndarray) -> None:
    """Write parts.npz: the part of each row, int (N,), of the features called `stamp`."""
    with replacing(heads / "parts.npz") as partial, partial.open("wb") as file:
        np.savez(file, stamp=stamp, part=part)


def read_parts(heads: Path, stamp: str) -> np.ndarray | None:
    """What `save_parts` wrote, None if there is nothing of these features."""
    path = heads / "parts.npz"
    if not path.is_file():
        return None
    remedy = "Delete it and run: python pipeline.py fit-heads"
    found = read_arrays(path, ("stamp", "part"), remedy)
    return found["part"] if found["stamp"] == stamp else None
