"""Find the tables of a data set: by their names, in the data folder or in its subfolders."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from extract.tables.columns import SPLIT_NAMES
from extract.tables.text_cells import unreadable
from runtime.errors import UserError, quoted, quoted_list

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")

SUBMISSIONS = (
    *("sample_submission", "samplesubmission", "sample_solution"),
    *("submission_format", "sample_submission_format"),
)

SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?")
"""Name of a part of a table, as Hugging Face's datasets write it: train-00000-of-00002."""

MAX_DEPTH = 5
"""Number of folders below the data folder that are searched for tables and pictures."""


@dataclass(frozen=True)
class Sources:
    """The tables of a data set. The split of a table is None if it has a split column."""

    root: Path
    tables: list[tuple[Path, str | None]]
    submission: Path | None
    unread: list[Path]


def find_sources(data: Path, files: dict[str, Path] | None = None) -> Sources:
    """Find the tables of a folder by their names, such as train.csv; or take the given file.

    `files` names the tables of some splits, relative to `data` or to the working directory; those
    of other splits are found by their names. If a folder has only one table, it holds all splits.
    Tables in subfolders are read if the folder itself has none. Raises UserError if there is no
    such path, or if the names are ambiguous.
    """
    try:
        exists, is_folder = data.exists(), data.is_dir()
    except OSError as error:  # The name is too long, or a parent folder is not accessible.
        raise UserError(f"{data} cannot be read ({error.strerror}).") from error
    if not exists:
        raise UserError(f"{data} does not exist. Give a folder with train.csv and test.csv.")
    _check_name(data.resolve())
    root = data if is_folder else data.parent
    given = {split: _named_file(root, split, path) for split, path in (files or {}).items()}
    if is_folder:
        return _in_folder(data, given)
    if given:
        return Sources(root.resolve(), [(path, split) for split, path in given.items()], None, [])
    if not is_table(data):
        raise UserError(f"{data} is not a table; allowed are {', '.join(SUFFIXES)}, or a folder.")
    return Sources(root.resolve(), [(data, None)], None, [])


def is_table(path: Path) -> bool:
    """Return whether `path` is a table: a file that is not hidden, with one of SUFFIXES.

    Reading something else, such as a named pipe, could block forever. macOS leaves a hidden file
    `._train.csv` beside train.csv.
    """
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and is_file(path)


def is_file(path: Path) -> bool:
    """Return whether `path` is a file or a link to one; False if it cannot be accessed."""
    try:
        return path.is_file()
    except OSError:  # The name is too long, or a parent folder is not accessible.
        return False


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder below `root`, which the user chose, with its folders and files.

    Follows links, each target once. Hidden folders, and those below MAX_DEPTH, are left out.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        depth = len(Path(folder).relative_to(root).parts)
        folders.sort()
        if os.path.realpath(folder) in seen or depth == MAX_DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]
        if os.path.realpath(folder) not in seen:
            seen.add(os.path.realpath(folder))
            yield Path(folder), folders, sorted(names)


def _named_file(root: Path, split: str, path: Path) -> Path:
    for candidate in (root / path, path):
        if is_file(candidate):
            return candidate
    raise UserError(f"--{split}: there is no file {path}, neither in {root} nor from here.")


def _in_folder(data: Path, given: dict[str, Path]) -> Sources:
    tables = _tables_in(data) or [
        path for folder, _, _ in walk(data) if folder != data for path in _tables_in(folder)
    ]
    for path in tables:
        _check_name(path)
    submissions = [path for path in tables if path.stem.lower() in SUBMISSIONS]
    tables = [path for path in tables if path not in submissions]
    _only_one(data, submissions)
    tables = [path for path in tables if path not in given.values()]
    named = [(path, split) for split, path in given.items()]
    named += _name_splits(data, tables, {"train", "val", "test"} - given.keys())
    if len(tables) == 1 and not given:
        named = [(tables[0], None)]
    unread = [path for path in tables if path not in dict(named)]
    return Sources(data.resolve(), named, next(iter(submissions), None), unread)


def _tables_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if is_table(path))
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}).") from error


def _name_splits(data: Path, tables: list[Path], splits: set[str]) -> list[tuple[Path, str]]:
    """Return the tables whose names name one of `splits`, as train.csv or Training_memes.csv do.

    A name that is exactly a split's goes before one that contains it.
    """
    exact = defaultdict(list)
    for path in tables:
        if SPLIT_NAMES.get(path.stem.lower()) in splits:
            exact[path.stem.lower()].append(path)
    for paths in exact.values():
        _only_one(data, paths)
    named = [(path, SPLIT_NAMES[stem]) for stem, paths in exact.items() for path in paths]
    missing = splits - {split for _, split in named}
    contains = defaultdict(list)
    for path in tables:
        if (split := _split_in_name(path)) in missing and path not in dict(named):
            contains[split].append(path)
    for paths in contains.values():
        if not _are_shards(paths):
            _only_one(data, paths)
    return sorted([*named, *((path, split) for split, paths in contains.items() for path in paths)])


def _are_shards(paths: list[Path]) -> bool:
    """Return whether these are the parts of one table. Raises UserError if one is missing."""
    names = [SHARD.fullmatch(path.stem) for path in paths]
    if not all(names) or len({(name[1], name[3]) for name in names}) > 1:
        return False
    missing = set(range(int(names[0][3]))) - {int(name[2]) for name in names}
    if missing:
        raise UserError(
            f"{paths[0].parent} lacks part {min(missing)} (counted from 0) of the {names[0][3]} of "
            f"{paths[0].name}. Download it again."
        )
    return len(paths) == int(names[0][3])


def _split_in_name(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", path.stem.lower())
    splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else None


def _check_name(path: Path) -> None:
    """Raise UserError for a name that cannot be written as text in messages and reports."""
    if fault := unreadable(str(path)):
        raise UserError(f"the name {quoted(str(path))}: {fault}. Rename it.")


def _only_one(data: Path, paths: Iterable[Path]) -> None:
    paths = list(paths)
    if len(paths) > 1:
        names = quoted_list(str(path.relative_to(data)) for path in paths)
        raise UserError(
            f"{data} holds {names}, which is ambiguous. Name the tables to read, for example: "
            f"--train {paths[0].relative_to(data)}"
        )
