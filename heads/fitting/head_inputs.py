"""Inputs of heads: project the embeddings of each space, select the columns that a head uses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.feature_table import FINE_TUNED, FeatureTable, Space
from heads.evaluation.out_of_fold import to_logit
from heads.fitting.parallel_fits import map_in_threads
from heads.fitting.pca_projection import REPROJECT, Projection, fit_projection
from heads.registry import ENTRIES, Entry
from runtime.files.array_files import read_array
from runtime.files.atomic_files import atomic_write
from runtime.files.file_checksums import folder_checksums, verify_checksums
from runtime.files.json_files import read_object, write_json
from runtime.progress import progress

LOGITS = "logits"
"""Name of the kind of space whose columns are the logits of other heads."""

LABEL_FREE = "label-free"
"""Name of the kind of space that joins the columns of all spaces that use no labels."""


class Projected(NamedTuple):
    """A space's projected embeddings."""

    X: np.ndarray
    """float32 (N, columns)."""
    image_width: int
    """The first `image_width` columns are the image's, the others the text's."""


@dataclass(frozen=True)
class HeadInputs:
    """A head's input columns from one space, and each row's role in that space."""

    space: str
    X: np.ndarray
    image_width: int
    seen: np.ndarray
    """bool (N,): the backbones were fitted on the row."""
    held_out: np.ndarray
    """bool (N,): labelled, and used neither to fit the backbones nor to select their epoch."""


def project_spaces(table: FeatureTable, run: Path) -> dict[str, Projected]:
    """Return the columns of each space. Computed once per run and saved in run/heads/projections.

    `table` may have been read without embeddings.
    """
    folder, stamp = run / "heads" / "projections", table.attributes["stamp"]
    stamp_file = folder / "stamp.json"
    saved = read_object(stamp_file, REPROJECT) if stamp_file.is_file() else {}
    if saved.get("stamp") == stamp:
        verify_checksums(folder, saved["files"], REPROJECT)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        # The stamp file marks the folder as complete, so it is written last.
        stamp_file.unlink(missing_ok=True)
        with progress("project", len(table.spaces), "spaces") as advance:

            def project(space: Space) -> None:
                _project_space(run / "features.h5", space, table.rows.labelled, folder)
                advance(1)

            map_in_threads(project, table.spaces)
        write_json(stamp_file, {"stamp": stamp, "files": folder_checksums(folder)})
    projections = read_projections(run)
    return {
        space.name: Projected(
            read_array(folder / f"{space.name}.npy", REPROJECT), projections[space.name].image_width
        )
        for space in table.spaces
    }


def _project_space(features: Path, space: Space, labelled: np.ndarray, folder: Path) -> None:
    """Fit the projection in one pass over the embeddings; write NAME.npy in a second pass."""
    # Imported here: predicting does not need HDF5.
    from features.hdf5_store import read_blocks

    name = space.name
    blocks = (
        (image[labelled[rows]], text[labelled[rows]])
        for rows, image, text in read_blocks(features, name)
    )
    projection = fit_projection(blocks, space.attributes.get("shared_coordinates", False))
    projection.save(folder / f"{name}.npz")
    shape = len(labelled), projection.image_axes.shape[1] + projection.text_axes.shape[1]
    with atomic_write(folder / f"{name}.npy") as partial:
        X = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
        for rows, image, text in read_blocks(features, name):
            X[rows] = projection.apply(image, text)
        X.flush()


def read_projections(run: Path) -> dict[str, Projection]:
    """Read the projection of each space that `project_spaces` fitted."""
    paths = (run / "heads" / "projections").glob("*.npz")
    return {path.stem: Projection.load(path) for path in paths}


def select_columns(entry: Entry, space: Space, projected: Projected) -> Projected | None:
    """Return the columns of a head's `view` in one space; None if the space lacks them."""
    X, width = projected
    if entry.view == "joint":
        logit = space.joint_logit
        return None if logit is None else Projected(logit[:, None], 0)
    return {
        "both": projected,
        "image": Projected(X[:, :width], width),
        "text": Projected(X[:, width:], 0),
    }[entry.view]


def has_inputs(entry: Entry, table: FeatureTable) -> bool:
    """Return whether any space of the run has the columns of a head's `view`."""
    if entry.view == "joint":
        return any(space.joint_logit is not None for space in table.spaces)
    return entry.view != LABEL_FREE or any(space.kind != FINE_TUNED for space in table.spaces)


def fitted_parents(name: str, table: FeatureTable) -> list[str]:
    """Return the parents of head `name` that have inputs in this run."""
    return [parent for parent in ENTRIES[name].parents if has_inputs(ENTRIES[parent], table)]


def inputs_by_kind(
    entry: Entry, table: FeatureTable, projected: dict[str, Projected], labelled: np.ndarray
) -> dict[str, list[HeadInputs]]:
    """Return the inputs of a head without parents in each kind of space that has its columns.

    Empty if the run has no such space.
    """
    if entry.view == LABEL_FREE:
        return _joined_inputs(table, projected, labelled)
    inputs = {
        kind: select_head_inputs(entry, spaces, projected, labelled)
        for kind, spaces in table.kinds().items()
    }
    return {kind: spaces for kind, spaces in inputs.items() if spaces}


def _joined_inputs(
    table: FeatureTable, projected: dict[str, Projected], labelled: np.ndarray
) -> dict[str, list[HeadInputs]]:
    """Join the columns of all label-free spaces: those of each image and each text tower once.

    Unlike fine-tuned spaces, they hold the same towers' columns for every row, so one model can use
    them together.
    """
    spaces = [space for space in table.spaces if space.kind != FINE_TUNED]
    if not spaces:
        return {}
    images, texts = {}, {}
    for space in spaces:
        X, width = projected[space.name]
        # Runs of older versions do not name the towers: they have one image tower.
        images.setdefault(json.dumps(space.attributes.get("image")), X[:, :width])
        texts.setdefault(json.dumps(space.attributes.get("text", space.name)), X[:, width:])
    X = np.concatenate([*images.values(), *texts.values()], axis=1)
    width = sum(columns.shape[1] for columns in images.values())
    seen = np.zeros(len(table), dtype=bool)
    return {LABEL_FREE: [HeadInputs(LABEL_FREE, X, width, seen, labelled)]}


def select_head_inputs(
    entry: Entry, spaces: list[Space], projected: dict[str, Projected], labelled: np.ndarray
) -> list[HeadInputs]:
    """Return a head's inputs from the spaces of one kind, without spaces that lack its columns."""
    selected = [(space, select_columns(entry, space, projected[space.name])) for space in spaces]
    return [
        HeadInputs(space.name, *columns, space.seen, labelled & space.held_out)
        for space, columns in selected
        if columns is not None
    ]


def logit_inputs(
    probabilities: list[np.ndarray], labelled: np.ndarray, held_out: np.ndarray
) -> HeadInputs:
    """Return other heads' probabilities, float (N,) each, as the logit columns of one space.

    Labelled rows that are not `held_out` count as seen, because those heads were fitted on them.
    """
    X = np.stack([to_logit(p) for p in probabilities], axis=1).astype(np.float32)
    return HeadInputs(LOGITS, X, 0, labelled & ~held_out, held_out)
