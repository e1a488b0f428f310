"""Atomic writes: a file or folder under its final name is complete, even after a power cut.

Content is written to a temporary path in the same folder, flushed to disk, then renamed.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from runtime.errors import ADVICE, UserError, system_errno

PARTIAL, REMOVED = TEMPORARY_SUFFIXES = (".partial", ".removed")
"""Suffixes of files and folders while they are being written, and deleted."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` if the block succeeds.

    Raises UserError if the disk or the file system refuses.
    """
    partial = path.with_name(f"{path.name}{PARTIAL}")
    try:
        with _user_error_if_unwritable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            flush(partial)
            partial.replace(path)
            flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_write_folder(folder: Path) -> Iterator[Path]:
    """Yield a new temporary folder; replace `folder` with it if the block succeeds."""
    partial = folder.with_name(f"{folder.name}{PARTIAL}")
    try:
        with _user_error_if_unwritable(folder):
            remove_folder(partial)
            partial.mkdir(parents=True)
            yield partial
            for path in (*partial.rglob("*"), partial):
                flush(path)
            remove_folder(folder)
            partial.rename(folder)
            flush(folder.parent)
    finally:
        remove_folder(partial)


@contextmanager
def _user_error_if_unwritable(path: Path) -> Iterator[None]:
    """Turn errors of the disk into a UserError that names `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = system_errno(error)
        cause = f"{os.strerror(number)}. {ADVICE[number]}." if number else error
        raise UserError(f"{path} cannot be written: {cause}") from error


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Delete temporary files and folders that a killed process left directly in `folders`."""
    leftovers = [
        path
        for folder in folders
        for suffix in TEMPORARY_SUFFIXES
        for path in folder.glob(f"*{suffix}")
    ]
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Delete `folder` if it exists. If this is interrupted, no partial `folder` remains."""
    removed = folder.with_name(f"{folder.name}{REMOVED}")
    shutil.rmtree(removed, ignore_errors=True)
    if folder.exists():
        folder.rename(removed)
        shutil.rmtree(removed)


def link_folder(source: Path, target: Path, *excluded: str) -> None:
    """Fill `target` with hard links to the files of `source`, except names like `excluded`.

    Creates `target` if needed. Links, because copies would take gigabytes and `source` is still
    needed.
    """
    ignored = shutil.ignore_patterns(*excluded)
    shutil.copytree(source, target, copy_function=_link, ignore=ignored, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no hard links
        shutil.copy2(source, target)


def flush(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> Path:
    """Write `text` atomically as UTF-8, without translating line ends."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
    return path
