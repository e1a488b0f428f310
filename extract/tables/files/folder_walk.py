"""Walk the folders below the one that the user chose, within limits."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

MAX_DEPTH = 5
"""Number of folders below the data folder that are searched for tables and pictures."""

MAX_FILES = 500_000
"""Number of files after which a search that the user did not ask for ends."""


def is_file(path: Path) -> bool:
    """Return whether `path` is a file or a link to one; False if it cannot be accessed."""
    try:
        return path.is_file()
    except OSError:  # The name is too long, or a parent folder is not accessible.
        return False


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder below `root`, which the user chose, with its files; nearest folders first.

    Follows links, each target once. Folders that cannot be read, that are hidden or that macOS adds
    to archives, and those below MAX_DEPTH, are left out.
    """
    seen, waiting = set(), deque([(root, 0)])
    while waiting:
        folder, depth = waiting.popleft()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        folders = {entry.name for entry in entries if _is_folder(entry)}
        yield folder, [entry.name for entry in entries if entry.name not in folders]
        if depth < MAX_DEPTH:
            kept = (name for name in sorted(folders) if not name.startswith((".", "__MACOSX")))
            waiting.extend((folder / name, depth + 1) for name in kept)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
