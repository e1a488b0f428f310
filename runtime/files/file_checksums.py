"""Checksums of whole files, for folders of files whose formats have none."""

import hashlib
from pathlib import Path

import xxhash

from runtime.errors import user_error_if_damaged


def folder_checksums(folder: Path, *excluded: str) -> dict[str, str]:
    """Map each file in `folder` and its subfolders, by relative path, to its checksum.

    The checksum is xxh3 (64 bits, hexadecimal). Paths in `excluded` are left out.
    """
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: file_checksum(folder / name) for name in sorted(names) if name not in excluded}


def verify_checksums(folder: Path, expected: dict[str, str], remedy: str) -> None:
    """Raise UserError if a file is missing or its content changed; `remedy` says what to do."""
    for name, checksum in expected.items():
        path = folder / name
        with user_error_if_damaged(path, remedy):
            if file_checksum(path) != checksum:
                raise ValueError("its checksum differs")


def file_checksum(path: Path) -> str:
    """Return the xxh3 of a file, 64 bits in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_64).hexdigest()


CHECKSUM_KEY = "xxh3"
"""Name under which a checksum is stored: the last key of a JSON file, an attribute of an HDF5
dataset, a key of safetensors metadata."""
