"""Save and load safetensors files with a checksum, which the format lacks.

PyTorch is imported only if tensors are its own: files of numpy arrays need none.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from safetensors import numpy as numpy_files
from safetensors import safe_open

from runtime.files.file_checksums import CHECKSUM_KEY

if TYPE_CHECKING:
    from torch import Tensor

METADATA_KEY = "about"

TORCH, NUMPY = "pt", "np"
"""Libraries of the tensors that are loaded."""

Tensors = "dict[str, Tensor] | dict[str, np.ndarray]"


def save_tensors(tensors: Tensors, path: Path, metadata: dict[str, Any] | None = None) -> None:
    """Write tensors, which must be contiguous and on the CPU, with JSON-ready metadata."""
    text = json.dumps(metadata)
    about = {METADATA_KEY: text, CHECKSUM_KEY: _checksum(tensors, text)}
    if all(isinstance(value, np.ndarray) for value in tensors.values()):
        numpy_files.save_file(tensors, path, metadata=about)
        return
    from safetensors.torch import save_file

    save_file(tensors, path, metadata=about)


def load_tensors(path: Path, library: str = TORCH) -> tuple[Tensors, dict[str, Any]]:
    """Read the tensors and metadata that `save_tensors` wrote, as tensors of TORCH or NUMPY.

    Raises SafetensorError, OSError, TypeError or ValueError for any other file.
    """
    with safe_open(path, library) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored = file.metadata() or {}
    text = stored.get(METADATA_KEY, "")
    if stored.get(CHECKSUM_KEY) != _checksum(tensors, text):
        raise ValueError("its checksum differs")
    return tensors, json.loads(text)


def load_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata without the tensors or the checksum. Raises as `load_tensors` does."""
    with safe_open(path, NUMPY) as file:
        return json.loads((file.metadata() or {}).get(METADATA_KEY, ""))


def _checksum(tensors: Tensors, metadata: str) -> str:
    """Return the same for tensors of both libraries."""
    digest = xxhash.xxh3_64(metadata.encode())
    for name in sorted(tensors):
        dtype, content = _content(tensors[name])
        digest.update(f"{name} torch.{dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(content)
    return digest.hexdigest()


def _content(values: "Tensor | np.ndarray") -> tuple[str, np.ndarray]:
    """Return the name of the type, the same in both libraries, and the bytes."""
    if isinstance(values, np.ndarray):
        return values.dtype.name, np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    import torch

    name = str(values.dtype).removeprefix("torch.")
    return name, values.reshape(-1).view(torch.uint8).numpy()
