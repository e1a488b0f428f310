"""Write and read the file of one space.

Each space is first written to a file of its own, so that an interrupted run can resume.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.embedding_dtypes import FLOAT32, from_stored, to_stored
from features.hdf5_checksums import (
    encode_json,
    new_hdf5,
    open_hdf5,
    read_verified_blocks,
    user_error_if_hdf5_damaged,
    verify_checksum,
    write_checksum,
)
from runtime.files.atomic_files import atomic_write

PER_ROW = {"joint_logit": "f4", "seen": "?", "monitored": "?"}


class SpaceWriter:
    """Writes the embeddings of one space, in any order of rows."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """Write `values` (R, ...) of dataset `name` at the row indices `rows` (R,)."""
        # HDF5 selections must have increasing row indices.
        order = np.argsort(rows, kind="stable")
        stored = self._group[name]
        stored[rows[order]] = to_stored(values[order], stored.dtype, name)

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of dataset `name` that were written, embeddings as float32."""
        return from_stored(self._group[name][rows])

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Store the attributes of the space as one JSON text."""
        self._group.attrs["attributes"] = encode_json(attributes)


@contextmanager
def writing_space(
    path: Path, count: int, image_dim: int, text_dim: int, joint: bool, dtype: str = FLOAT32
) -> Iterator[SpaceWriter]:
    """Write the file of one space of `count` rows atomically; embeddings are NaN until written.

    `joint` says whether there is a fusion head, and so a dataset for its logits. Embeddings are
    stored as `dtype`, one of EMBEDDING_DTYPES.
    """
    with atomic_write(path) as partial, new_hdf5(partial) as file:
        # Contiguous rather than chunked: reads as fast as a plain file.
        for name, width in (("image", image_dim), ("text", text_dim)):
            file.create_dataset(name, (count, width), dtype, fillvalue=np.nan)
        for name, kind in PER_ROW.items():
            if name != "joint_logit" or joint:
                fill = np.nan if kind == "f4" else False
                file.create_dataset(name, data=np.full(count, fill, kind))
        yield SpaceWriter(file)
        for stored in file.values():
            write_checksum(stored)


def copy_embeddings(path: Path, name: str, space: SpaceWriter) -> None:
    """Copy `image` or `text` of a file that `writing_space` wrote to `space`, in blocks."""
    with user_error_if_hdf5_damaged(path), open_hdf5(path) as file:
        for rows, block in read_verified_blocks(file[name], path):
            space.write(name, np.arange(rows.start, rows.stop), block)


def verify_space_file(path: Path) -> None:
    """Raise UserError if a file that `writing_space` wrote is damaged."""
    with user_error_if_hdf5_damaged(path), open_hdf5(path) as space:
        for stored in space.values():
            verify_checksum(stored, path)


def read_width(path: Path, name: str) -> int:
    """Return the number of columns of `image` or `text` in a file of `writing_space`."""
    with user_error_if_hdf5_damaged(path), open_hdf5(path) as file:
        return file[name].shape[1]
