"""Write and read features.h5, the interface between the stages.

The files of its spaces, see `space_files`, are joined with the rows.

Every dataset has a checksum (xxh3, hexadecimal), which every reader verifies. HDF5 itself has
checksums for its metadata since version 1.10 of its format.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.embedding_dtypes import EMBEDDING_DTYPES
from features.feature_table import FeatureTable, Rows, Space
from features.features_file import require_features
from features.hdf5_checksums import (
    create_hdf5,
    encode_json,
    fixed_length_text,
    get_dataset,
    get_member,
    open_hdf5,
    raise_if_open_elsewhere,
    read_verified,
    read_verified_blocks,
    remedy,
    user_error_if_hdf5_damaged,
    verify_checksum,
    write_checksum,
)
from features.space_files import PER_ROW
from runtime.errors import UserError, raise_if_system_error

SCHEMA = 4

EMBEDDED = ("image", "text")

ROWS = {"id": object, "split": object, "label": "i1", "group": "i4", "fold": "i2", "order": "i4"}


def verify_space(path: Path, name: str) -> None:
    """Raise UserError unless a features.h5 has this space, undamaged."""
    with _open(path) as file, user_error_if_hdf5_damaged(path):
        for stored in _space_datasets(file, name, path):
            verify_checksum(stored, path)


def copy_space(path: Path, name: str, target: Path) -> None:
    """Copy one space of a features.h5 to a file like those of `writing_space`, and verify it."""
    with _open(path) as file, create_hdf5(target) as space:
        with user_error_if_hdf5_damaged(path):
            datasets = _space_datasets(file, name, path)
        _copy(datasets, file[name], space, path)


def join_spaces(
    path: Path, rows: Rows, attributes: dict[str, Any], spaces: dict[str, Path]
) -> None:
    """Write features.h5 atomically from the files of finished spaces."""
    with create_hdf5(path) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["spaces"] = encode_json(list(spaces))
        file.attrs["attributes"] = encode_json(attributes)
        for name, dtype in ROWS.items():
            values = getattr(rows, name)
            content = fixed_length_text(values) if dtype is object else values.astype(dtype)
            write_checksum(file.create_dataset(f"rows/{name}", data=content))
        for name, source in spaces.items():
            _join(source, file.create_group(name))
        file.flush()
        file.attrs["finished"] = True


def _join(source: Path, group: h5py.Group) -> None:
    with user_error_if_hdf5_damaged(source):
        space = open_hdf5(source)
    with space:
        _copy(list(space.values()), space, group, source)


def _copy(datasets: list[h5py.Dataset], source: h5py.Group, target: h5py.Group, path: Path) -> None:
    """Verify datasets of `path`, then copy them. Errors of the copy itself are the target's."""
    with user_error_if_hdf5_damaged(path):
        for stored in datasets:
            verify_checksum(stored, path)
        attributes = source.attrs["attributes"]
    for stored in datasets:
        target.copy(stored, target)
    target.attrs["attributes"] = attributes


def read_features(path: Path, embeddings: bool = True) -> FeatureTable:
    """Read features.h5; without `embeddings`, image and text arrays have no columns.

    Raises UserError if the file is missing, unfinished, damaged or of another schema.
    """
    with _open(path) as file, user_error_if_hdf5_damaged(path):
        group = get_member(file, "rows", path)
        count = len(get_member(group, "id", path))
        rows = Rows(**{name: _read_row_column(group, name, count, path) for name in ROWS})
        names = json.loads(file.attrs["spaces"])
        spaces = [
            _read_space(get_member(file, name, path), count, path, embeddings) for name in names
        ]
        return FeatureTable(rows, spaces, json.loads(file.attrs["attributes"]))


def read_blocks(path: Path, name: str) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Read the image and text embeddings of one space in blocks, so that it need not fit in memory.

    Yields a slice of up to BLOCK_ROWS rows, and their image and text embeddings, float32 (rows,
    width), which the next block overwrites. Raises UserError for damage after the last block.
    """
    with _open(path) as file, user_error_if_hdf5_damaged(path):
        count = len(get_member(get_member(file, "rows", path), "id", path))
        group = get_member(file, name, path)
        stored = [
            get_dataset(group, key, EMBEDDING_DTYPES, (count, None), path) for key in EMBEDDED
        ]
        parts = [read_verified_blocks(one, path) for one in stored]
        for (rows, image), (_, text) in zip(*parts, strict=True):
            yield rows, image, text


def read_attributes(path: Path) -> dict[str, Any]:
    """Read only the file's attributes: config, fingerprint, column names."""
    with _open(path) as file, user_error_if_hdf5_damaged(path):
        return json.loads(file.attrs["attributes"])


def read_space_names(path: Path) -> list[str]:
    """Read the names of the spaces, fine-tuned ones first."""
    with _open(path) as file, user_error_if_hdf5_damaged(path):
        return json.loads(file.attrs["spaces"])


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    require_features(path)
    try:
        file = open_hdf5(path)
    except (OSError, RuntimeError) as error:
        raise_if_system_error(path, error)
        raise_if_open_elsewhere(path, error)
        raise UserError(f"{path} is not a complete HDF5 file ({error}). {remedy(path)}") from error
    with file:
        with user_error_if_hdf5_damaged(path):
            finished, schema = file.attrs.get("finished", False), file.attrs.get("schema")
        if not finished:
            raise UserError(f"{path} is unfinished. {remedy(path)}")
        if schema != SCHEMA:
            raise UserError(
                f"{path} has schema {schema}, this version reads {SCHEMA}. {remedy(path)}"
            )
        yield file


def _read_row_column(group: h5py.Group, name: str, count: int, path: Path) -> np.ndarray:
    return read_verified(get_dataset(group, name, (ROWS[name],), (count,), path), path)


def _space_datasets(file: h5py.File, name: str, path: Path) -> list[h5py.Dataset]:
    count = len(get_member(get_member(file, "rows", path), "id", path))
    return list(_datasets(get_member(file, name, path), count, path))


def _datasets(group: h5py.Group, count: int, path: Path) -> Iterator[h5py.Dataset]:
    """Yield the datasets of a space, after checking their types and numbers of rows."""
    for name in EMBEDDED:
        yield get_dataset(group, name, EMBEDDING_DTYPES, (count, None), path)
    for name, dtype in PER_ROW.items():
        if name in group or name != "joint_logit":
            yield get_dataset(group, name, (dtype,), (count,), path)


def _read_space(group: h5py.Group, count: int, path: Path, embeddings: bool) -> Space:
    arrays: dict[str, np.ndarray | None] = {"joint_logit": None}
    for stored in _datasets(group, count, path):
        name = stored.name.rpartition("/")[2]
        unwanted = name in EMBEDDED and not embeddings
        arrays[name] = np.empty((count, 0), np.float32) if unwanted else read_verified(stored, path)
    name = group.name.removeprefix("/")
    return Space(name=name, attributes=json.loads(group.attrs["attributes"]), **arrays)
