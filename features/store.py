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
CHUNK_ROWS = 256
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
        for name, width in (("image", image_dim), ("text", text_dim)):
            chunks = (min(CHUNK_ROWS, count), width)
            file.create_dataset(name, (count, width), "f4", chunks=chunks, fillvalue=np.nan)
        for name, dtype in PER_ROW.items():
            if name != "joint_logit" or joint:
                fill = np.nan if dtype == "f4" else False
                file.create_dataset(name, (count,), dtype, fillvalue=fill)
        yield SpaceWriter(file)


def read_image(path: Path) -> np.ndarray:
    """The image embeddings of a file that `writing_space` wrote: float32 (N, image dim)."""
    with h5py.File(path, "r") as file:
        return file["image"][:]


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


def read_embeddings(path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Image and text embeddings of one space: float32 (N, width) each."""
    with _open(path) as file, _damage_named(path):
        space = _space(file[name], name, len(file["rows/id"]), path, embeddings=True)
        return space.image, space.text


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
    columns = slice(None) if embeddings else slice(0)
    arrays = {key: group[key][:, columns] for key in ("image", "text")}
    joint = "joint_logit" in group
    arrays |= {key: group[key][:] for key in PER_ROW if joint or key != "joint_logit"}
    for key, values in arrays.items():
        if len(values) != count:
            raise UserError(f"{path}: {name}/{key} has {len(values)} rows, rows/id has {count}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(f"{path}: {name}/{key} holds values that are not finite")
    arrays.setdefault("joint_logit", None)
    return Space(name=name, attributes=json.loads(group.attrs["attributes"]), **arrays)
