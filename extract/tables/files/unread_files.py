"""Name the files of a folder that may be tables, but are not read, and what to do with them."""

from pathlib import Path

from extract.tables.files.folder_walk import MAX_FILES, walk
from extract.tables.files.picture_index import ARCHIVES
from runtime.errors import quoted_list

SHOWN = 3
"""Number of files of one kind in a message."""

WHAT_TO_DO = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save as CSV"),
    **dict.fromkeys((".txt", ".dat", ".tab"), "if a table, name it with --train, --val or --test"),
    **dict.fromkeys((*ARCHIVES, ".bz2", ".xz"), "unpack"),
    **dict.fromkeys((".pkl", ".pickle", ".feather", ".arrow"), "convert to CSV or Parquet"),
}
"""Suffix of files that hold tables but are not read -> what to do."""


def unread_files(root: Path) -> str:
    """Return a sentence for each kind of such files below `root`, or nothing."""
    found, count = {}, 0
    for folder, names in walk(root):
        count += len(names)
        for name in names:
            if advice := WHAT_TO_DO.get(Path(name).suffix.lower()):
                found.setdefault(advice, []).append(str((folder / name).relative_to(root)))
        if count > MAX_FILES:
            break
    return "".join(
        f"Not read: {quoted_list(paths[:SHOWN])}{' and others' * (len(paths) > SHOWN)}; {advice}. "
        for advice, paths in found.items()
    )
