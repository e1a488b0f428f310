"""The user's files: which tables there are, and where their images lie."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PureWindowsPath

from extract.data.columns import SPLIT_WORDS
from extract.data.text_cells import unreadable
from runtime.errors import UserError, quoted, quoted_list

SUFFIXES = (".csv", ".tsv", ".jsonl")

SUBMISSIONS = ("sample_submission", "samplesubmission", "sample_solution")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Sources:
    """The tables of a data set; the split is None where a column says it."""

    root: Path
    tables: list[tuple[Path, str | None]]
    submission: Path | None
    unread: list[Path]


def find_sources(data: Path) -> Sources:
    """Find the tables in a folder, by the split that names them, or take the one file given.

    A folder's only table may hold all splits, and then a column says which.
    Raises UserError when `data` does not exist or two formats of one table lie side by side.
    """
    try:
        there, folder = data.exists(), data.is_dir()
        inside = sorted(data.iterdir()) if folder else []
    except OSError as error:  # the name is too long, or a folder on the way is locked
        raise UserError(f"{data} cannot be read ({error.strerror}).") from error
    if not there:
        raise UserError(f"{data} does not exist. Give a folder with train.csv and test.csv.")
    _check_name(data.resolve())
    if folder:
        return _in_folder(data, inside)
    # A pipe, say, would be waited on for ever.
    if data.suffix.lower() not in SUFFIXES or not data.is_file():
        raise UserError(f"{data} is not a table; allowed are {', '.join(SUFFIXES)}, or a folder.")
    return Sources(data.parent.resolve(), [(data, None)], None, [])


def _in_folder(data: Path, inside: list[Path]) -> Sources:
    stems = defaultdict(list)
    for path in inside:
        if path.suffix.lower() in SUFFIXES and is_file(path):
            _check_name(path)
            stems[path.stem.lower()].append(path)
    submissions = [path for stem in SUBMISSIONS for path in stems.pop(stem, [])]
    for paths in (submissions, *(paths for stem, paths in stems.items() if stem in SPLIT_WORDS)):
        _only_one(data, paths)
    tables = list(chain(*stems.values()))
    named = [(path, SPLIT_WORDS[path.stem.lower()]) for path in tables if _names_split(path)]
    if len(tables) == 1:
        named = [(tables[0], None)]
    unread = [path for path in tables if path not in dict(named)]
    return Sources(data.resolve(), named, next(iter(submissions), None), unread)


def _check_name(path: Path) -> None:
    """What is written about the data names its files, as text."""
    if fault := unreadable(str(path)):
        raise UserError(f"the name {quoted(str(path))}: {fault}. Rename it.")


def _names_split(path: Path) -> bool:
    return path.stem.lower() in SPLIT_WORDS


def _only_one(data: Path, paths: list[Path]) -> None:
    if len(paths) > 1:
        raise UserError(
            f"{data} holds {quoted_list(path.name for path in paths)}, which is ambiguous. "
            "Keep one of them and move the others away."
        )


def find_image(root: Path, value: str, folders: Iterable[str]) -> tuple[str, str | None]:
    """Return the path of the image in the resolved folder `root`, and what is wrong with it.

    A bare name is also looked for in `folders` of `root`, and a name without a suffix with
    .png, .jpg and .jpeg. The path is empty when the image is missing or lies outside `root`.
    """
    value = value.strip()
    windows = PureWindowsPath(value)
    if not value:
        return "", "found nothing, allowed the path of an image"
    if fault := unreadable(value):
        return "", fault
    if "\\" in value or windows.drive or windows.root or ".." in windows.parts:
        return "", f"found {quoted(value)}, allowed a path with / that stays in the data folder"
    places = ["."] if "/" in value else [".", *dict.fromkeys(folders)]
    names = [value] if windows.suffix else [value + suffix for suffix in ("", *IMAGE_SUFFIXES)]
    tried = (root / place / name for place in places for name in names)
    path = next((path.resolve() for path in tried if is_file(path)), None)
    if path is None:
        beside = f", nor in {', '.join(places[1:])}" if places[1:] else ""
        return "", f"no image {quoted(value)} in {root}{beside}"
    if not path.is_relative_to(root):
        return "", f"{quoted(value)} is a link that leads out of the data folder"
    fault = unreadable(str(path))
    return ("", f"{quoted(value)} is a link to a name {fault}") if fault else (str(path), None)


def is_file(path: Path) -> bool:
    """True for a file or a link to one; False for all else, and for what cannot be looked at."""
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder on the way is locked
        return False
