"""features.h5, the contract between the stages. The only file that imports h5py.

Each space is written to a file of its own, so that a run can be taken up where it stopped; the
spaces of a run are then joined, with what is known of the rows, to features.h5.

Every dataset carries a checksum (xxh3, as hexadecimal digits), which every reader verifies; those
of what describes the datasets are HDF5's own, which has them since its format of version 1.10.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.feature_table import FeatureTable, Rows, Space
from features.hdf5_checksums import (
    FORMAT,
    again,
    blocks,
    creating,
    dataset,
    hdf5_damage_named,
    member,
    packed,
    read_whole,
    texts,
    verify_checksum,
    write_checksum,
)
from runtime.atomic_files import replacing
from runtime.errors import UserError

SCHEMA = 3

ROWS = {"id": object, "split": object, "label": "i1", "group": "i4", "fold": "i2", "order": "i4"}

PER_ROW = {"joint_logit": "f4", "seen": "?", "monitored": "?"}

EMBEDDED = ("image", "text")


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
        self._group.attrs["attributes"] = packed(attributes)


@contextmanager
def writing_space(
    path: Path, count: int, image_dim: int, text_dim: int, joint: bool
) -> Iterator[SpaceWriter]:
    """Write one space of `count` rows beside `path`; embeddings are NaN until written.

    `joint` says whether there is a fusion head, and so a dataset for its logits.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver=FORMAT) as file:
        # Contiguous, not chunked: reads as fast as a plain file.
        for name, width in (("image", image_dim), ("text", text_dim)):
            file.create_dataset(name, (count, width), "f4", fillvalue=np.nan)
        for name, dtype in PER_ROW.items():
            if name != "joint_logit" or joint:
                fill = np.nan if dtype == "f4" else False
                file.create_dataset(name, data=np.full(count, fill, dtype))
        yield SpaceWriter(file)
        for stored in file.values():
            write_checksum(stored)


def copy_image(path: Path, space: SpaceWriter) -> None:
    """Give a space the image embeddings of a file that `writing_space` wrote, block by block."""
    with hdf5_damage_named(path), h5py.File(path, "r") as file:
        for rows, block in blocks(file["image"], path):
            space.write("image", np.arange(rows.start, rows.stop), block)


def check_space_of(path: Path, name: str) -> None:
    """Raise UserError unless a features.h5 has this space, whole."""
    with _open(path) as file, hdf5_damage_named(path):
        for stored in _space_of(file, name, path):
            verify_checksum(stored, path)


def copy_space(path: Path, name: str, target: Path) -> None:
    """Write one space of a features.h5 to a file as `writing_space` writes it, verified."""
    with _open(path) as file, creating(target) as space:
        with hdf5_damage_named(path):
            datasets = _space_of(file, name, path)
        _copy(datasets, file[name], space, path)


def check_space(path: Path) -> None:
    """Raise UserError unless the file is as `writing_space` left it."""
    with hdf5_damage_named(path), h5py.File(path, "r") as space:
        for stored in space.values():
            verify_checksum(stored, path)


def read_image_width(path: Path) -> int:
    """Columns of the image embeddings of a file that `writing_space` wrote."""
    with hdf5_damage_named(path), h5py.File(path, "r") as file:
        return file["image"].shape[1]


def join_spaces(
    path: Path, rows: Rows, attributes: dict[str, Any], spaces: dict[str, Path]
) -> None:
    """Write features.h5 beside `path` out of finished spaces, and rename it when whole."""
    with creating(path) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["spaces"] = packed(list(spaces))
        file.attrs["attributes"] = packed(attributes)
        for name, dtype in ROWS.items():
            values = getattr(rows, name)
            content = texts(values) if dtype is object else values.astype(dtype)
            write_checksum(file.create_dataset(f"rows/{name}", data=content))
        for name, source in spaces.items():
            _join(source, file.create_group(name))
        file.flush()
        file.attrs["finished"] = True


def _join(source: Path, group: h5py.Group) -> None:
    with hdf5_damage_named(source):
        space = h5py.File(source, "r")
    with space:
        _copy(list(space.values()), space, group, source)


def _copy(datasets: list[h5py.Dataset], source: h5py.Group, target: h5py.Group, path: Path) -> None:
    """Copy verified datasets out of `path`. What goes wrong after that is the target's fault."""
    with hdf5_damage_named(path):
        for stored in datasets:
            verify_checksum(stored, path)
        attributes = source.attrs["attributes"]
    for stored in datasets:
        target.copy(stored, target)
    target.attrs["attributes"] = attributes


def read_features(path: Path, embeddings: bool = True) -> FeatureTable:
    """Read a whole features.h5; without `embeddings`, image and text have no columns.

    Raises UserError if the file is absent, unfinished, damaged or of another schema.
    """
    with _open(path) as file, hdf5_damage_named(path):
        group = member(file, "rows", path)
        count = len(member(group, "id", path))
        rows = Rows(**{name: _column(group, name, count, path) for name in ROWS})
        names = json.loads(file.attrs["spaces"])
        spaces = [_space(member(file, name, path), count, path, embeddings) for name in names]
        return FeatureTable(rows, spaces, json.loads(file.attrs["attributes"]))


def read_blocks(path: Path, name: str) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Image and text embeddings of one space, BLOCK_ROWS rows at a time.

    Yields the rows as a slice and float32 (rows, width) twice, which the next rows overwrite. So a
    space need not fit in memory. Damage is known, and raised, when the last rows have been read.
    """
    with _open(path) as file, hdf5_damage_named(path):
        count = len(member(member(file, "rows", path), "id", path))
        group = member(file, name, path)
        stored = [dataset(group, key, "f4", (count, None), path) for key in EMBEDDED]
        parts = [blocks(one, path) for one in stored]
        for (rows, image), (_, text) in zip(*parts, strict=True):
            yield rows, image, text


def read_attributes(path: Path) -> dict[str, Any]:
    """The file's attributes alone: config, fingerprint, column names."""
    with _open(path) as file, hdf5_damage_named(path):
        return json.loads(file.attrs["attributes"])


def read_space_names(path: Path) -> list[str]:
    """The names of the spaces, fine-tuned ones first."""
    with _open(path) as file, hdf5_damage_named(path):
        return json.loads(file.attrs["spaces"])


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py extract")
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} is not a whole HDF5 file ({error}). {again(path)}") from error
    with file:
        with hdf5_damage_named(path):
            finished, schema = file.attrs.get("finished", False), file.attrs.get("schema")
        if not finished:
            raise UserError(f"{path} was never finished. {again(path)}")
        if schema != SCHEMA:
            raise UserError(
                f"{path} has schema {schema}, this version reads {SCHEMA}. {again(path)}"
            )
        yield file


def _column(group: h5py.Group, name: str, count: int, path: Path) -> np.ndarray:
    return read_whole(dataset(group, name, ROWS[name], (count,), path), path)


def _space_of(file: h5py.File, name: str, path: Path) -> list[h5py.Dataset]:
    count = len(member(member(file, "rows", path), "id", path))
    return list(_stored(member(file, name, path), count, path))


def _stored(group: h5py.Group, count: int, path: Path) -> Iterator[h5py.Dataset]:
    """The datasets of a space, each of the type and the number of rows that it must have."""
    for name in EMBEDDED:
        yield dataset(group, name, "f4", (count, None), path)
    for name, dtype in PER_ROW.items():
        if name in group or name != "joint_logit":
            yield dataset(group, name, dtype, (count,), path)


def _space(group: h5py.Group, count: int, path: Path, embeddings: bool) -> Space:
    arrays: dict[str, np.ndarray | None] = {"joint_logit": None}
    for stored in _stored(group, count, path):
        name = stored.name.rpartition("/")[2]
        unwanted = name in EMBEDDED and not embeddings
        arrays[name] = np.empty((count, 0), np.float32) if unwanted else read_whole(stored, path)
    name = group.name.removeprefix("/")
    return Space(name=name, attributes=json.loads(group.attrs["attributes"]), **arrays)
