"""Save and load safetensors files with a checksum, which the format lacks."""

import json
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from runtime.file_checksums import CHECKSUM_KEY

METADATA_KEY = "about"


def save_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, Any] | None = None
) -> None:
    """Write tensors, which must be contiguous and on the CPU, with JSON-ready metadata."""
    text = json.dumps(metadata)
    save_file(tensors, path, metadata={METADATA_KEY: text, CHECKSUM_KEY: _checksum(tensors, text)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and metadata that `save_tensors` wrote.

    Raises SafetensorError, OSError, TypeError or ValueError for any other file.
    """
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        stored = file.metadata() or {}
    text = stored.get(METADATA_KEY, "")
    if stored.get(CHECKSUM_KEY) != _checksum(tensors, text):
        raise ValueError("its checksum differs")
    return tensors, json.loads(text)


def load_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata without the tensors or the checksum. Raises as `load_tensors` does."""
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(METADATA_KEY, ""))


def _checksum(tensors: dict[str, Tensor], metadata: str) -> str:
    digest = xxhash.xxh3_64(metadata.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
