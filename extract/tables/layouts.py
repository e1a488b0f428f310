"""Find the tables of a data set: by their names, in the data folder or in its subfolders."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from extract.tables.files.folder_walk import MAX_FILES, is_file, walk
from extract.tables.files.unread_files import unread_files
from extract.tables.parsing.problem import Problem, summarise
from extract.tables.parsing.split_names import SPLIT_NAMES, split_in
from extract.tables.parsing.text_cells import unreadable
from runtime.errors import UserError, argument, quoted, quoted_list

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")

SUBMISSION = re.compile(
    r"(sample|example|format|template)[ _-]*(submission|solution)([ _-]*format)?"
    r"|submission[ _-]*(sample|example|format|template)"
)
"""Name of a sample submission, in lower case."""

SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(-[0-9a-f]{16})?")
"""Name of a part of a table, as Hugging Face's datasets write it: train-00000-of-00002."""

HIDDEN = (".", "~$")
"""First letters of hidden files, as `._train.csv` of macOS and `~$train.csv` of Excel have."""


WRITE_A_TABLE = (
    "Give the folder of the tables, or write one with a header such as id,img,text,label"
)


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

    Reading something else, such as a named pipe, could block forever.
    """
    hidden = path.name.startswith(HIDDEN)
    return path.suffix.lower() in SUFFIXES and not hidden and is_file(path)


def _named_file(root: Path, split: str, path: Path) -> Path:
    for candidate in (root / path, path):
        if is_file(candidate):
            return candidate
    raise UserError(f"--{split}: there is no file {path}, neither in {root} nor from here.")


def _in_folder(data: Path, given: dict[str, Path]) -> Sources:
    tables = _tables_in(data) or _tables_below(data)
    for path in tables:
        _check_name(path)
    submissions = [path for path in tables if SUBMISSION.fullmatch(path.stem.lower())]
    tables = [path for path in tables if path not in submissions]
    if len(submissions) > 1:
        names = quoted_list(str(path.relative_to(data)) for path in submissions)
        raise UserError(f"{data} has {names}; one sample submission is allowed. Remove the others.")
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


def _tables_below(data: Path) -> list[Path]:
    tables, count = [], 0
    for folder, names in walk(data):
        tables += [folder / name for name in names if is_table(folder / name)]
        count += len(names)
        if count > MAX_FILES:
            raise UserError(
                f"{data} has no table, and its folders hold more than {MAX_FILES:,} files, too "
                "many to search. Give the folder of the tables."
            )
    return sorted(tables)


def _name_splits(data: Path, tables: list[Path], splits: set[str]) -> list[tuple[Path, str]]:
    """Return the tables whose names name one of `splits`, as train.csv or Training_memes.csv do.

    A name that is exactly a split's goes before one that contains it, and this before the name of
    the folder, as in Hugging Face's train/metadata.csv.
    """
    named, ambiguous = {}, {}
    for name_of in (_exact, _split_in_name, _split_of_folder):
        found = defaultdict(list)
        for path in tables:
            if (name := name_of(path, data)) and path not in named:
                found[name].append(path)
        missing = splits - set(named.values())
        for name, paths in found.items():
            split = SPLIT_NAMES.get(name)
            if split not in missing:
                continue
            if len(paths) > 1 and (name_of is _exact or not _are_shards(paths)):
                ambiguous.setdefault(split, paths)
            named |= dict.fromkeys(paths, split)
    if ambiguous:
        order = [split for split in ("train", "val", "test") if split in ambiguous]
        _raise_ambiguous(data, {split: ambiguous[split] for split in order})
    return sorted(named.items())


def _exact(path: Path, data: Path) -> str | None:
    return path.stem.lower() if path.stem.lower() in SPLIT_NAMES else None


def _split_of_folder(path: Path, data: Path) -> str | None:
    """Return the split that the nearest folder below `data` names."""
    names = map(str.lower, reversed(path.relative_to(data).parts[:-1]))
    return next((split for name in names if (split := split_in(name))), None)


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


def _split_in_name(path: Path, data: Path) -> str | None:
    return split_in(path.stem)


def _check_name(path: Path) -> None:
    """Raise UserError for a name that cannot be written as text in messages and reports."""
    if fault := unreadable(str(path)):
        raise UserError(f"the name {quoted(str(path))}: {fault}. Rename it.")


def _raise_ambiguous(data: Path, tables: dict[str, list[Path]]) -> NoReturn:
    """Raise UserError that names the tables of each split that has several, and the flags."""
    found = "; ".join(
        f"{split}: {quoted_list(str(path.relative_to(data)) for path in paths)}"
        for split, paths in tables.items()
    )
    first = {split: str(paths[0].relative_to(data)) for split, paths in tables.items()}
    flags = " ".join(f"--{split} {argument(path)}" for split, path in first.items())
    folders = {path.parent for paths in tables.values() for path in paths}
    one = f", or one folder: --data {argument(str(min(folders)))}" if len(folders) > 1 else ""
    raise UserError(
        f"{data} has more than one table of a split, which is ambiguous: {found}. Name the tables "
        f"to read, for example: {flags}{one}"
    )


def raise_no_rows(
    split: str, sources: Sources, problems: list[Problem], has_train: bool
) -> NoReturn:
    """Raise UserError: no row of a split can be read, because there is none, or all are bad."""
    listed = "".join(f"\n  {line}" for line in summarise(problems))
    tables = [path for path, _ in sources.tables] + sources.unread
    tables += [path for path in _tables_below(sources.root) if path not in tables]
    advice = f"Name the table with --{split} FILE" if tables else WRITE_A_TABLE
    if any(meaning is None for _, meaning in sources.tables):
        advice = "Rename the values of the split column, or divide all rows: --split 0.7,0.1,0.2"
    elif problems and any(meaning == split for _, meaning in sources.tables):
        raise UserError(f"no {split} row in {sources.root} can be used:{listed}")
    elif split == "test" and has_train:
        advice += ", or divide the train rows: --split 0.7,0.1,0.2"
    elif tables and not sources.tables:
        advice += ", and if it holds all rows, divide them: --split 0.7,0.1,0.2"
    names = [name for name, meaning in SPLIT_NAMES.items() if meaning == split]
    found = quoted_list(str(path.relative_to(sources.root)) for path in tables) or "no table"
    raise UserError(
        f"no {split} rows in {sources.root}: found {found}. {unread_files(sources.root)}Looked for "
        f"a table ({', '.join(SUFFIXES)}) or a split column with one of these names: "
        f"{', '.join(names)}. {advice}.{listed}"
    )
