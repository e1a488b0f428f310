"""Find the user's files: the tables of a data folder, and the image files of their rows."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PureWindowsPath

from extract.data.columns import SPLIT_NAMES
from extract.data.text_cells import unreadable
from runtime.errors import UserError, quoted, quoted_list

SUFFIXES = (".csv", ".tsv", ".jsonl")

SUBMISSIONS = ("sample_submission", "samplesubmission", "sample_solution")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Sources:
    """The tables of a data set. The split of a table is None if it has a split column."""

    root: Path
    tables: list[tuple[Path, str | None]]
    submission: Path | None
    unread: list[Path]


def find_sources(data: Path) -> Sources:
    """Find the tables of a folder by their names, such as train.csv; or take the given file.

    If a folder has only one table, it holds all splits and needs a split column.
    Raises UserError if `data` does not exist, or if a folder holds one table in two formats.
    """
    try:
        exists, is_folder = data.exists(), data.is_dir()
        entries = sorted(data.iterdir()) if is_folder else []
    except OSError as error:  # The name is too long, or a parent folder is not accessible.
        raise UserError(f"{data} cannot be read ({error.strerror}).") from error
    if not exists:
        raise UserError(f"{data} does not exist. Give a folder with train.csv and test.csv.")
    _check_name(data.resolve())
    if is_folder:
        return _in_folder(data, entries)
    # Reading a named pipe, for example, could block forever.
    if data.suffix.lower() not in SUFFIXES or not data.is_file():
        raise UserError(f"{data} is not a table; allowed are {', '.join(SUFFIXES)}, or a folder.")
    return Sources(data.parent.resolve(), [(data, None)], None, [])


def _in_folder(data: Path, entries: list[Path]) -> Sources:
    stems = defaultdict(list)
    for path in entries:
        if path.suffix.lower() in SUFFIXES and is_file(path):
            _check_name(path)
            stems[path.stem.lower()].append(path)
    submissions = [path for stem in SUBMISSIONS for path in stems.pop(stem, [])]
    for paths in (submissions, *(paths for stem, paths in stems.items() if stem in SPLIT_NAMES)):
        _only_one(data, paths)
    tables = list(chain(*stems.values()))
    named = [(path, SPLIT_NAMES[path.stem.lower()]) for path in tables if _names_split(path)]
    if len(tables) == 1:
        named = [(tables[0], None)]
    unread = [path for path in tables if path not in dict(named)]
    return Sources(data.resolve(), named, next(iter(submissions), None), unread)


def _check_name(path: Path) -> None:
    """Raise UserError for a name that cannot be written as text in messages and reports."""
    if fault := unreadable(str(path)):
        raise UserError(f"the name {quoted(str(path))}: {fault}. Rename it.")


def _names_split(path: Path) -> bool:
    return path.stem.lower() in SPLIT_NAMES


def _only_one(data: Path, paths: list[Path]) -> None:
    if len(paths) > 1:
        raise UserError(
            f"{data} holds {quoted_list(path.name for path in paths)}, which is ambiguous. "
            "Keep one of them and move the others away."
        )


def find_image(root: Path, value: str, folders: Iterable[str]) -> tuple[str, str | None]:
    """Return the path of the image in the resolved folder `root`, and what is wrong, if anything.

    A name without folder is also searched in `folders` of `root`; one without suffix also with
    .png, .jpg and .jpeg. The path is empty if the image is missing or outside `root`.
    """
    value = value.strip()
    windows = PureWindowsPath(value)
    if not value:
        return "", "found nothing, allowed the path of an image"
    if fault := unreadable(value):
        return "", fault
    if "\\" in value or windows.drive or windows.root or ".." in windows.parts:
        return "", f"found {quoted(value)}, allowed a path with / that stays in the data folder"
    searched = ["."] if "/" in value else [".", *dict.fromkeys(folders)]
    names = [value] if windows.suffix else [value + suffix for suffix in ("", *IMAGE_SUFFIXES)]
    candidates = (root / folder / name for folder in searched for name in names)
    path = next((path.resolve() for path in candidates if is_file(path)), None)
    if path is None:
        others = f", nor in {', '.join(searched[1:])}" if searched[1:] else ""
        return "", f"no image {quoted(value)} in {root}{others}"
    if not path.is_relative_to(root):
        return "", f"{quoted(value)} is a link that leads out of the data folder"
    fault = unreadable(str(path))
    return ("", f"{quoted(value)} is a link to a name {fault}") if fault else (str(path), None)


def is_file(path: Path) -> bool:
    """Return whether `path` is a file or a link to one; False if it cannot be accessed."""
    try:
        return path.is_file()
    except OSError:  # The name is too long, or a parent folder is not accessible.
        return False
