"""Load numpy arrays from npz and npy files, without pickle: loading them cannot run code."""

from pathlib import Path

import numpy as np

from runtime.errors import user_error_if_damaged


def read_arrays(path: Path, names: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Load the arrays `names` of an npz file.

    Raises UserError, which ends with `remedy`, if the file or an array is missing or damaged.
    """
    with user_error_if_damaged(path, remedy), np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}


def read_array(path: Path, remedy: str) -> np.ndarray:
    """Memory-map the array of an npy file, read-only. Raises UserError as `read_arrays` does."""
    with user_error_if_damaged(path, remedy):
        return np.lib.format.open_memmap(path, mode="r")
