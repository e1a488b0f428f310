"""Checksums of whole files, for a folder of files whose formats have none."""

import hashlib
from pathlib import Path

import xxhash

from runtime.errors import damage_named


def digests(folder: Path, *without: str) -> dict[str, str]:
    """Name in the folder -> xxh3 (64 bits, hexadecimal) of every file, also in folders below."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: _digest(folder / name) for name in sorted(names) if name not in without}


def check_digests(folder: Path, expected: dict[str, str], remedy: str) -> None:
    """Raise UserError if a file is missing or another than it was; `remedy` says what to do."""
    for name, digest in expected.items():
        path = folder / name
        with damage_named(path, remedy):
            if _digest(path) != digest:
                raise ValueError("its checksum differs")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()


CHECKSUM_KEY = "xxh3"
"""Where a checksum is kept: the last key of a JSON file, an attribute of an HDF5 dataset, a key of
the metadata of safetensors."""
