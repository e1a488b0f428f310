"""safetensors files with a checksum, which the format has none of."""

import json
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from runtime.file_checksums import CHECKSUM_KEY

ABOUT = "about"


def save_tensors(
    tensors: dict[str, Tensor], path: Path, about: dict[str, Any] | None = None
) -> None:
    """Write tensors, all of them on the CPU and contiguous, and what goes with them."""
    text = json.dumps(about)
    save_file(tensors, path, metadata={ABOUT: text, CHECKSUM_KEY: _checksum(tensors, text)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises SafetensorError, OSError, TypeError or ValueError for what it did not write.
    """
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    text = metadata.get(ABOUT, "")
    if metadata.get(CHECKSUM_KEY) != _checksum(tensors, text):
        raise ValueError("its checksum differs")
    return tensors, json.loads(text)


def load_about(path: Path) -> dict[str, Any]:
    """What goes with the tensors, which are not read. Raises what `load_tensors` does."""
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(ABOUT, ""))


def _checksum(tensors: dict[str, Tensor], about: str) -> str:
    digest = xxhash.xxh3_64(about.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
