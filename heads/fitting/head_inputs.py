"""What a head is given of each space, by the head's view."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.feature_table import FeatureTable, Space
from features.hdf5_store import read_blocks
from heads.evaluation.out_of_fold import to_logit
from heads.fitting.projection import REPROJECT, Projection, fit_projection
from heads.registry import Entry
from runtime.array_files import read_array
from runtime.atomic_files import replacing
from runtime.file_checksums import check_digests, digests
from runtime.json_files import read_object, write_json
from runtime.progress import progress

LOGITS = "logits"
"""The kind of space that holds the logits of other heads."""


class Projected(NamedTuple):
    """A space's columns for heads."""

    X: np.ndarray
    """float32 (N, columns)."""
    image_width: int
    """How many of the columns, the first ones, are the image's."""


@dataclass(frozen=True)
class Columns:
    """What one head is given of one space, and what each row is to that space."""

    space: str
    X: np.ndarray
    image_width: int
    seen: np.ndarray
    """bool (N,): backbones were fitted on it."""
    held_out: np.ndarray
    """bool (N,): labelled, and neither the backbones nor their epoch know of it."""


def project(table: FeatureTable, run: Path) -> dict[str, Projected]:
    """The columns of each space; computed once a run, then read from run/heads/projections.

    `table` may have been read without embeddings.
    """
    folder, stamp = run / "heads" / "projections", table.attributes["stamp"]
    mark = folder / "stamp.json"
    known = read_object(mark, REPROJECT) if mark.is_file() else {}
    if known.get("stamp") == stamp:
        check_digests(folder, known["files"], REPROJECT)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        # Until the last space is written, what is there belongs to no features.
        mark.unlink(missing_ok=True)
        with progress("project", len(table.spaces), "spaces") as advance:
            for space in table.spaces:
                _project_space(run / "features.h5", space.name, table.rows.labelled, folder)
                advance(1)
        write_json(mark, {"stamp": stamp, "files": digests(folder)})
    widths = {n: p.image_width for n, p in read_projections(run, table).items()}
    return {
        name: Projected(read_array(folder / f"{name}.npy", REPROJECT), width)
        for name, width in widths.items()
    }


def _project_space(features: Path, name: str, labelled: np.ndarray, folder: Path) -> None:
    """Two passes over the embeddings: one finds the axes, the other writes NAME.npy."""
    projection = fit_projection(
        (image[labelled[rows]], text[labelled[rows]])
        for rows, image, text in read_blocks(features, name)
    )
    projection.save(folder / f"{name}.npz")
    shape = len(labelled), projection.image_axes.shape[1] + projection.text_axes.shape[1]
    with replacing(folder / f"{name}.npy") as partial:
        X = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
        for rows, image, text in read_blocks(features, name):
            X[rows] = projection.apply(image, text)
        X.flush()


def read_projections(run: Path, table: FeatureTable) -> dict[str, Projection]:
    """The projection of each space that `project` fitted."""
    folder = run / "heads" / "projections"
    return {space.name: Projection.load(folder / f"{space.name}.npz") for space in table.spaces}


def view(entry: Entry, space: Space, projected: Projected) -> Projected | None:
    """The columns that a head looks at in one space; None if the space has no such columns."""
    X, width = projected
    if entry.view == "joint":
        logit = space.joint_logit
        return None if logit is None else Projected(logit[:, None], 0)
    return {
        "both": projected,
        "image": Projected(X[:, :width], width),
        "text": Projected(X[:, width:], 0),
    }[entry.view]


def columns_of(
    entry: Entry, spaces: list[Space], projected: dict[str, Projected], labelled: np.ndarray
) -> list[Columns]:
    """What a head is given of the spaces of one kind; nothing if they have no such columns."""
    views = [(space, view(entry, space, projected[space.name])) for space in spaces]
    return [
        Columns(space.name, *columns, space.seen, labelled & space.untouched)
        for space, columns in views
        if columns is not None
    ]


def logit_columns(
    probabilities: list[np.ndarray], labelled: np.ndarray, held_out: np.ndarray
) -> Columns:
    """Other heads' probabilities, float (N,) each, as the columns of a space of their own.

    Labelled rows that are not `held_out` count as seen: those heads were fitted on them.
    """
    X = np.stack([to_logit(p) for p in probabilities], axis=1).astype(np.float32)
    return Columns(LOGITS, X, 0, labelled & ~held_out, held_out)
