"""Arrays in npz and npy files, read without pickle: nothing that is loaded can run code."""

from pathlib import Path

import numpy as np

from runtime.errors import damage_named


def read_arrays(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """The arrays `names` of an npz. Raises UserError if there is no such file or array."""
    with damage_named(path, remedy), np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}


def read_array(path: Path, remedy: str) -> np.ndarray:
    """The array of an npy, left on disk. Raises UserError as `read_arrays` does."""
    with damage_named(path, remedy):
        return np.lib.format.open_memmap(path, mode="r")
