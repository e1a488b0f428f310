"""Files whose format belongs to a library: one that is missing or damaged is named.

numpy reads them without pickle: nothing that is loaded can run code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from features.errors import UserError
from features.files import parse_json
from features.settings import from_dict

Record = TypeVar("Record")


@contextmanager
def damage_named(path: Path, remedy: str) -> Iterator[None]:
    """Turn what a library raises over a file into a UserError; `remedy` says what to do."""
    if not path.is_file():
        raise UserError(f"{path} is missing. {remedy}")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a parser that is fed anything may raise anything
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). {remedy}") from error


def read_arrays(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz. Raises UserError if there is no such file or array."""
    with damage_named(path, remedy), np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}


def read_array(path: Path, remedy: str) -> np.ndarray:
    """The array of an npy, left on disk. Raises UserError as `read_arrays` does."""
    with damage_named(path, remedy):
        return np.lib.format.open_memmap(path, mode="r")


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON file that `write_json` wrote. Raises UserError as `read_arrays` does."""
    with damage_named(path, remedy):
        return parse_json(path.read_text(encoding="utf-8"))


def read_record(kind: type[Record], path: Path, remedy: str) -> Record:
    """A JSON file as the dataclass `kind`. Raises UserError for other keys than it has."""
    content = read_object(path, remedy)
    try:
        return from_dict(kind, content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
