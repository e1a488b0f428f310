"""Datasets of an HDF5 file that carry a checksum, and are not what they say if it differs.

The checksum is xxh3 (64 bits, as hexadecimal digits), which is as fast as memory is read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import xxhash

from runtime.atomic_files import replacing
from runtime.errors import UserError
from runtime.file_checksums import CHECKSUM_KEY

FORMAT = ("v110", "v110")
"""The oldest and the newest version of HDF5's format that is written."""

BLOCK_ROWS = 1024
"""Rows read at once."""


def write_checksum(stored: h5py.Dataset) -> None:
    """Give a dataset its checksum."""
    stored.attrs[CHECKSUM_KEY] = np.bytes_(_checksum(stored))


def verify_checksum(stored: h5py.Dataset, path: Path) -> None:
    """Raise UserError if a dataset is not what it was when it was sealed."""
    _compare(_checksum(stored), stored, path)


def member(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset:
    """What lies in the group itself: no link is followed, least of all to another file."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        found = "nothing" if link is None else f"a {type(link).__name__}"
        where = f"{group.name}/{name}".strip("/")
        raise UserError(f"{path}: {where} is {found}, allowed: data in the file. {again(path)}")
    return group[name]


def dataset(
    group: h5py.Group, name: str, dtype: object, shape: tuple[int | None, ...], path: Path
) -> h5py.Dataset:
    """A dataset of this type and shape (None: any length), all of it in the file."""
    stored = member(group, name, path)
    where = _where(stored)
    if len(stored) != shape[0]:
        fault = f"has {len(stored)} rows, rows/id has {shape[0]}"
        raise UserError(f"{path}: {where} {fault}. {again(path)}")
    alike = stored.dtype.kind == "S" if dtype is object else stored.dtype == np.dtype(dtype)
    # HDF5 makes up what is not in the file, at any size that the file says.
    inside = stored.id.get_storage_size() == stored.size * stored.dtype.itemsize
    elsewhere = stored.is_virtual or stored.external or not inside
    if elsewhere or not alike or stored.ndim != len(shape):
        raise UserError(f"{path}: {where} is not as extract writes it. {again(path)}")
    return stored


def read_whole(stored: h5py.Dataset, path: Path) -> np.ndarray:
    """All values, verified: floats are finite, texts are objects of type str."""
    values = np.empty(stored.shape, stored.dtype)
    for rows, block in blocks(stored, path):
        values[rows] = block
    return np.char.decode(values, "utf-8").astype(object) if values.dtype.kind == "S" else values


def blocks(stored: h5py.Dataset, path: Path) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and values, which the next block overwrites; verified when the last has been read.

    Raises UserError for damage, and for floats that are not finite.
    """
    digest = xxhash.xxh3_64()
    for rows, block in _raw_blocks(stored):
        digest.update(block)
        if stored.dtype.kind == "f" and not _is_finite(block):
            fault = "holds values that are not finite"
            raise UserError(f"{path}: {_where(stored)} {fault}. {again(path)}")
        yield rows, block
    _compare(digest.hexdigest(), stored, path)


def again(path: Path) -> str:
    """What to do about a file that cannot be used: features.h5, or a space that is to be in it."""
    if path.name == "features.h5":
        command = f"python pipeline.py extract --run {path.parent.name}"
        return f"Delete it and run, with the flags of before: {command}"
    return f"Delete the folder {path.parent}, and run python pipeline.py extract as before"


def texts(values: np.ndarray) -> np.ndarray:
    """UTF-8 of one length, for the reason that `packed` gives."""
    encoded = np.char.encode(values.astype(str), "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", encoded.itemsize))


def packed(content: object) -> np.bytes_:
    """JSON as a text of fixed length. HDF5 keeps those of variable length where it has no checksums
    of its own, and can search them for ever when they are damaged."""
    return np.bytes_(json.dumps(content))


@contextmanager
def hdf5_damage_named(path: Path) -> Iterator[None]:
    """Turn what h5py raises for a file damaged inside into a UserError."""
    try:
        yield
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). {again(path)}") from error


@contextmanager
def creating(path: Path) -> Iterator[h5py.File]:
    """A new file beside `path`, renamed when whole; nothing but HDF5 is to be used in the block."""
    with replacing(path) as partial:
        try:
            with h5py.File(partial, "w", libver=FORMAT) as file:
                yield file
        except RuntimeError as error:  # of a full disk, HDF5 tells in several ways
            raise OSError(str(error)) from error


def _raw_blocks(stored: h5py.Dataset) -> Iterator[tuple[slice, np.ndarray]]:
    count = len(stored)
    room = np.empty((min(count, BLOCK_ROWS), *stored.shape[1:]), stored.dtype)
    for start in range(0, count, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, count))
        block = room[: rows.stop - rows.start]
        stored.read_direct(block, rows)
        yield rows, block


def _checksum(stored: h5py.Dataset) -> str:
    digest = xxhash.xxh3_64()
    for _, block in _raw_blocks(stored):
        digest.update(block)
    return digest.hexdigest()


def _compare(found: str, stored: h5py.Dataset, path: Path) -> None:
    if found.encode() != stored.attrs[CHECKSUM_KEY]:
        fault = "is damaged: its checksum differs"
        raise UserError(f"{path}: {_where(stored)} {fault}. {again(path)}")


def _is_finite(values: np.ndarray) -> bool:
    """Whether all of float32 (...) are; one product tells, unless the values are huge."""
    flat = values.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(flat @ flat) or np.isfinite(flat).all())


def _where(stored: h5py.Dataset) -> str:
    return stored.name.removeprefix("/")
