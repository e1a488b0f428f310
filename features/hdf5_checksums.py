"""HDF5 datasets with a checksum, which is verified as they are read.

The checksum is xxh3 (64 bits, hexadecimal), which is as fast as reading memory.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import xxhash

from features.embedding_dtypes import from_stored
from runtime.errors import UserError, raise_if_system_error, system_errno
from runtime.files.atomic_files import atomic_write
from runtime.files.file_checksums import CHECKSUM_KEY

FORMAT = ("v110", "v110")
"""Oldest and newest version of the HDF5 format to write."""

ALIGNMENT = {"alignment_threshold": 4096, "alignment_interval": 4096}
"""In bytes: datasets of this size start at a multiple of it. Reading one that does not start at a
multiple of 64 takes up to three times as long."""

BUFFER_ALIGNMENT = 64
"""In bytes: of what is read to. The kernel copies to another address in 1.5 times the time."""

BLOCK_ROWS = 1024
"""Rows read at once."""


def write_checksum(stored: h5py.Dataset) -> None:
    """Store the checksum of a dataset in its attributes."""
    stored.attrs[CHECKSUM_KEY] = np.bytes_(_checksum(stored))


def verify_checksum(stored: h5py.Dataset, path: Path) -> None:
    """Raise UserError if a dataset changed since its checksum was written."""
    _compare(_checksum(stored), stored, path)


def get_member(group: h5py.Group, name: str, path: Path) -> h5py.Group | h5py.Dataset:
    """Return a member of a group. Raises UserError if it is missing or a link, never followed."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        found = "missing" if link is None else f"a {type(link).__name__}"
        where = f"{group.name}/{name}".strip("/")
        raise UserError(f"{path}: {where} is {found}, allowed: data in the file. {remedy(path)}")
    return group[name]


def get_dataset(
    group: h5py.Group,
    name: str,
    dtypes: tuple[object, ...],
    shape: tuple[int | None, ...],
    path: Path,
) -> h5py.Dataset:
    """Return a dataset of one of `dtypes` (object: text) that is stored in the file.

    A length in `shape` that is None may be any. Raises UserError if the dataset is another.
    """
    stored = get_member(group, name, path)
    where = _where(stored)
    if len(stored) != shape[0]:
        fault = f"has {len(stored)} rows, rows/id has {shape[0]}"
        raise UserError(f"{path}: {where} {fault}. {remedy(path)}")
    same_type = any(
        stored.dtype.kind == "S" if dtype is object else stored.dtype == np.dtype(dtype)
        for dtype in dtypes
    )
    # HDF5 fills in data that is not in the file, up to any size that the header claims.
    in_file = stored.id.get_storage_size() == stored.size * stored.dtype.itemsize
    elsewhere = stored.is_virtual or stored.external or not in_file
    if elsewhere or not same_type or stored.ndim != len(shape):
        raise UserError(f"{path}: {where} is not as extract writes it. {remedy(path)}")
    return stored


def read_verified(stored: h5py.Dataset, path: Path) -> np.ndarray:
    """Read and verify a whole dataset. Text is returned as an object array of str, and float16 as
    float32.

    Raises UserError as `read_verified_blocks` does.
    """
    values = np.empty(stored.shape, from_stored(np.empty(0, stored.dtype)).dtype)
    for rows, block in read_verified_blocks(stored, path):
        values[rows] = block
    return np.char.decode(values, "utf-8").astype(object) if values.dtype.kind == "S" else values


def read_verified_blocks(stored: h5py.Dataset, path: Path) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield row slices and their values, which the next block overwrites; float16 as float32.

    Raises UserError if a float is not finite; after the last block, if the checksum differs.
    """
    digest = xxhash.xxh3_64()
    for rows, block in _read_blocks(stored):
        digest.update(block)
        values = from_stored(block)
        if values.dtype.kind == "f" and not _is_finite(values):
            fault = "holds values that are not finite"
            raise UserError(f"{path}: {_where(stored)} {fault}. {remedy(path)}")
        yield rows, values
    _compare(digest.hexdigest(), stored, path)


def remedy(path: Path) -> str:
    """Return what to do about an unusable features.h5, or an unusable file of one space."""
    if path.name == "features.h5":
        command = f"python pipeline.py extract --run {path.parent.name}"
        return f"Delete it, then run with the same flags as before: {command}"
    return (
        f"Delete the folder {path.parent}, then run with the same flags as before: "
        "python pipeline.py extract"
    )


def fixed_length_text(values: np.ndarray) -> np.ndarray:
    """Encode texts as UTF-8 of one length, for the reason given in `encode_json`."""
    encoded = np.char.encode(values.astype(str), "utf-8")
    return encoded.astype(h5py.string_dtype("utf-8", encoded.itemsize))


def encode_json(content: object) -> np.bytes_:
    """Encode `content` as a JSON text of fixed length.

    HDF5 stores variable-length texts without checksums, and can loop endlessly over damaged ones.
    """
    return np.bytes_(json.dumps(content))


@contextmanager
def user_error_if_hdf5_damaged(path: Path) -> Iterator[None]:
    """Turn the exceptions of h5py for a damaged file into a UserError."""
    try:
        yield
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise_if_system_error(path, error)
        raise_if_open_elsewhere(path, error)
        raise UserError(f"{path} is damaged ({error}). {remedy(path)}") from error


def raise_if_open_elsewhere(path: Path, error: BaseException) -> None:
    """Raise UserError if HDF5 refuses a file because a program has it open for writing.

    The mark of this in the file stays if that program was killed.
    """
    if "already open for" in str(error):
        raise UserError(
            f"{path} is open for writing in another program, such as a notebook, or that program "
            "was killed. Nothing shows that it is damaged, so keep it. Close it there, then run "
            f"the same command again; if no program has it open: h5clear -s {path} (hdf5-tools)."
        ) from error


def open_hdf5(path: Path) -> h5py.File:
    """Open a finished file for reading. The caller closes it.

    Without HDF5's lock: a file is written elsewhere and then renamed, so a reader never sees it
    change, and a notebook that has it open, or a file system without locks, is no reason to stop.
    """
    return h5py.File(path, "r", locking=False)


def new_hdf5(path: Path) -> h5py.File:
    """Create a file, without HDF5's lock: no other program knows it yet. The caller closes it."""
    return h5py.File(path, "w", libver=FORMAT, locking=False, **ALIGNMENT)


@contextmanager
def create_hdf5(path: Path) -> Iterator[h5py.File]:
    """Write an HDF5 file atomically. The block must contain only HDF5 operations."""
    with atomic_write(path) as partial:
        try:
            with new_hdf5(partial) as file:
                yield file
        except RuntimeError as error:  # HDF5 reports a full disk with several exceptions
            raise OSError(system_errno(error), str(error)) from error


def _read_blocks(stored: h5py.Dataset) -> Iterator[tuple[slice, np.ndarray]]:
    count = len(stored)
    buffer = _aligned((min(count, BLOCK_ROWS), *stored.shape[1:]), stored.dtype)
    for start in range(0, count, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, count))
        block = buffer[: rows.stop - rows.start]
        stored.read_direct(block, rows)
        yield rows, block


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an uninitialised array at a multiple of BUFFER_ALIGNMENT."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + BUFFER_ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % BUFFER_ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def _checksum(stored: h5py.Dataset) -> str:
    digest = xxhash.xxh3_64()
    for _, block in _read_blocks(stored):
        digest.update(block)
    return digest.hexdigest()


def _compare(found: str, stored: h5py.Dataset, path: Path) -> None:
    if found.encode() != stored.attrs[CHECKSUM_KEY]:
        fault = "is damaged: its checksum differs"
        raise UserError(f"{path}: {_where(stored)} {fault}. {remedy(path)}")


def _is_finite(values: np.ndarray) -> bool:
    """Return whether all values are finite. One dot product is enough unless it overflows."""
    flat = values.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(flat @ flat) or np.isfinite(flat).all())


def _where(stored: h5py.Dataset) -> str:
    return stored.name.removeprefix("/")
