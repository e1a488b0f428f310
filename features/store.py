"""features.h5, the contract between the stages. The only file that imports h5py.

Each space is written to a file of its own, so that a run can be taken up where it stopped; the
spaces of a run are then joined, with what is known of the rows, to features.h5.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.errors import UserError
from features.files import replacing
from features.table import FeatureTable, Rows, Space

SCHEMA = 2
BLOCK_ROWS = 1024
"""Rows of embeddings read or copied at once."""
ROWS = {"id": object, "split": object, "label": "i1", "group": "i4", "fold": "i2", "order": "i4"}
PER_ROW = {"joint_logit": "f4", "seen": "?", "monitored": "?"}


class SpaceWriter:
    """Takes the embeddings of one space in any order of rows."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """Write `values` (R, ...) of dataset `name` at the row numbers `rows` (R,)."""
        # HDF5 selections want increasing row numbers.
        order = np.argsort(rows, kind="stable")
        self._group[name][rows[order]] = values[order]

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read back what was written."""
        return self._group[name][rows]

    def describe(self, attributes: dict[str, Any]) -> None:
        """Set the space's attributes, as one JSON text."""
        self._group.attrs["attributes"] = json.dumps(attributes)


@contextmanager
def writing_space(
    path: Path, count: int, image_dim: int, text_dim: int, joint: bool
) -> Iterator[SpaceWriter]:
    """Write one space of `count` rows beside `path`; embeddings are NaN until written.

    `joint` says whether there is a fusion head, and so a dataset for its logits.
    """
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        # Contiguous, not chunked: reads as fast as a plain file.
        for name, width in (("image", image_dim), ("text", text_dim)):
            file.create_dataset(name, (count, width), "f4", fillvalue=np.nan)
        for name, dtype in PER_ROW.items():
            if name != "joint_logit" or joint:
                fill = np.nan if dtype == "f4" else False
                file.create_dataset(name, (count,), dtype, fillvalue=fill)
        yield SpaceWriter(file)


def copy_image(path: Path, space: SpaceWriter) -> None:
    """Give a space the image embeddings of a file that `writing_space` wrote, block by block."""
    with h5py.File(path, "r") as file:
        count = len(file["image"])
        for start in range(0, count, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, count))
            space.write("image", np.arange(rows.start, rows.stop), file["image"][rows])


def read_image_width(path: Path) -> int:
    """Columns of the image embeddings of a file that `writing_space` wrote."""
    with h5py.File(path, "r") as file:
        return file["image"].shape[1]


def join_spaces(
    path: Path, rows: Rows, attributes: dict[str, Any], spaces: dict[str, Path]
) -> None:
    """Write features.h5 beside `path` out of finished spaces, and rename it when whole."""
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["spaces"] = json.dumps(list(spaces))
        file.attrs["attributes"] = json.dumps(attributes)
        for name, dtype in ROWS.items():
            kind = h5py.string_dtype() if dtype is object else dtype
            file.create_dataset(f"rows/{name}", data=getattr(rows, name), dtype=kind)
        for name, source in spaces.items():
            with h5py.File(source, "r") as space:
                group = file.create_group(name)
                group.attrs["attributes"] = space.attrs["attributes"]
                for dataset in space:
                    space.copy(dataset, group)
        file.flush()
        file.attrs["finished"] = True


def read_features(path: Path, embeddings: bool = True) -> FeatureTable:
    """Read a whole features.h5; without `embeddings`, image and text have no columns.

    Raises UserError if the file is absent, unfinished, damaged or of another schema.
    """
    with _open(path) as file, _damage_named(path):
        rows = Rows(**{name: _column(file["rows"], name) for name in ROWS})
        names = json.loads(file.attrs["spaces"])
        spaces = [_space(file[name], name, len(rows), path, embeddings) for name in names]
        return FeatureTable(rows, spaces, json.loads(file.attrs["attributes"]))


def read_blocks(path: Path, name: str) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Image and text embeddings of one space, BLOCK_ROWS rows at a time.

    Yields the rows as a slice and float32 (rows, width) twice. So a space need not fit in memory.
    """
    with _open(path) as file, _damage_named(path):
        group, count = file[name], len(file["rows/id"])
        for start in range(0, count, BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, count))
            yield rows, *(_embeddings(group, key, rows, count, path) for key in ("image", "text"))


def read_attributes(path: Path) -> dict[str, Any]:
    """The file's attributes alone: config, fingerprint, column names."""
    with _open(path) as file, _damage_named(path):
        return json.loads(file.attrs["attributes"])


def read_space_names(path: Path) -> list[str]:
    """The names of the spaces, fine-tuned ones first."""
    with _open(path) as file, _damage_named(path):
        return json.loads(file.attrs["spaces"])


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what h5py raises for a file damaged inside into a UserError."""
    try:
        yield
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). {_again(path)}") from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py extract")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path} is not a whole HDF5 file ({error}). {_again(path)}") from error
    with file:
        if not file.attrs.get("finished", False):
            raise UserError(f"{path} was never finished. {_again(path)}")
        if file.attrs["schema"] != SCHEMA:
            raise UserError(
                f"{path} has schema {file.attrs['schema']}, this version reads {SCHEMA}. "
                f"{_again(path)}"
            )
        yield file


def _again(path: Path) -> str:
    return f"Delete it and run: python pipeline.py extract --run {path.parent.name}"


def _column(group: h5py.Group, name: str) -> np.ndarray:
    dataset = group[name]
    return dataset.asstr()[:] if ROWS[name] is object else dataset[:]


def _space(group: h5py.Group, name: str, count: int, path: Path, embeddings: bool) -> Space:
    every = slice(0, count)
    arrays: dict[str, np.ndarray | None] = {"joint_logit": None}
    for key in ("image", "text"):
        if embeddings:
            arrays[key] = _embeddings(group, key, every, count, path)
        else:
            arrays[key] = np.empty((len(_whole(group, key, count, path)), 0), np.float32)
    for key in PER_ROW:
        if key in group or key != "joint_logit":
            arrays[key] = _whole(group, key, count, path)[:]
    _check_finite(group, "joint_logit", arrays["joint_logit"], path)
    return Space(name=name, attributes=json.loads(group.attrs["attributes"]), **arrays)


def _embeddings(group: h5py.Group, key: str, rows: slice, count: int, path: Path) -> np.ndarray:
    dataset = _whole(group, key, count, path)
    values = np.empty((rows.stop - rows.start, dataset.shape[1]), np.float32)
    for start in range(rows.start, rows.stop, BLOCK_ROWS):
        part = slice(start, min(start + BLOCK_ROWS, rows.stop))
        block = values[part.start - rows.start : part.stop - rows.start]
        dataset.read_direct(block, part)
        _check_finite(group, key, block, path)
    return values


def _whole(group: h5py.Group, key: str, count: int, path: Path) -> h5py.Dataset:
    dataset = group[key]
    if len(dataset) != count:
        where = group.name.removeprefix("/")
        raise UserError(f"{path}: {where}/{key} has {len(dataset)} rows, rows/id has {count}")
    return dataset


def _check_finite(group: h5py.Group, key: str, values: np.ndarray | None, path: Path) -> None:
    if values is not None and not np.isfinite(values).all():
        where = group.name.removeprefix("/")
        raise UserError(f"{path}: {where}/{key} holds values that are not finite")
