"""Write beside, flush, rename: a file under its final name is whole, also after a power cut."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from runtime.errors import UserError

LEFT = (".partial", ".removed")
"""Ends of the names of what is being written or deleted."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it into place if the block succeeds."""
    partial = path.with_name(f"{path.name}{LEFT[0]}")
    try:
        with _fault_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _flush(partial)
            partial.replace(path)
            _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`; put it in the place of `folder` if the block succeeds."""
    partial = folder.with_name(f"{folder.name}{LEFT[0]}")
    try:
        with _fault_named(folder):
            remove_folder(partial)
            partial.mkdir(parents=True)
            yield partial
            for path in (*partial.rglob("*"), partial):
                _flush(path)
            remove_folder(folder)
            partial.rename(folder)
            _flush(folder.parent)
    finally:
        remove_folder(partial)


@contextmanager
def _fault_named(path: Path) -> Iterator[None]:
    """Turn what goes wrong on the disk into a UserError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be written: {error}") from error


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Delete what a killed process left half-written or half-deleted in any of `folders`."""
    left = [path for folder in folders for end in LEFT for path in folder.glob(f"*{end}")]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Delete `folder`, if there is one; broken off half-way, nothing is left under its name."""
    doomed = folder.with_name(f"{folder.name}{LEFT[1]}")
    shutil.rmtree(doomed, ignore_errors=True)
    if folder.exists():
        folder.rename(doomed)
        shutil.rmtree(doomed)


def link_folder(source: Path, target: Path, *without: str) -> None:
    """Fill a folder, made if need be, with hard links to the files of another.

    Copies would cost gigabytes, a move what has been made.
    """
    ignored = shutil.ignore_patterns(*without)
    shutil.copytree(source, target, copy_function=_link, ignore=ignored, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system that has none
        shutil.copy2(source, target)


def _flush(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8 with Unix line ends."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
    return path
