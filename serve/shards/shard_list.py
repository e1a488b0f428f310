"""The shards of a folder, the files that they are scored into, and which of these are finished."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.tables.files.folder_walk import is_file
from extract.tables.layouts import SUFFIXES, is_table
from runtime.errors import UserError, quoted, quoted_list
from runtime.files.atomic_files import flush
from runtime.files.json_files import read_object, write_json
from runtime.progress import log

STATE = ".memefuse"
"""Folder, inside that of the results, of unfinished files and of records of the finished ones."""

WRITTEN_AS = {".csv": ".csv", ".tsv": ".csv", ".json": ".jsonl", ".jsonl": ".jsonl"}
"""Suffix of a shard -> suffix of its results; others keep theirs."""


@dataclass(frozen=True)
class Shard:
    """A table and the file of its results."""

    table: Path
    out: Path

    @property
    def record(self) -> Path:
        """A JSON file that exists once the results are whole, with what they were made from."""
        return self.out.parent / STATE / f"{self.out.name}.json"


def list_shards(data: Path, out: Path) -> list[Shard]:
    """Return a shard for each table in the folder `data` itself, by name.

    Files that are no tables, such as pictures, are left out and counted in a message. Raises
    UserError if there is no table, or if results would replace a table or each other.
    """
    if not data.is_dir():
        raise UserError(
            f"--out: {quoted(str(out))} is a folder, which needs a folder of tables as --data; "
            f"{quoted(str(data))} is none. For one table, name a file: --out {out / 'scores.csv'}"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {quoted(str(out))} is a file. Name a folder, or give a suffix.")
    if out.resolve() == data.resolve():
        raise UserError(f"--out: {quoted(str(out))} is also --data. Name another folder.")
    files = sorted(path for path in data.iterdir() if is_file(path))
    tables = [path for path in files if is_table(path)]
    if not tables:
        raise UserError(f"{data} holds no table; allowed are {', '.join(SUFFIXES)}.")
    if others := [path.name for path in files if path not in tables]:
        log(f"{data}: {len(others)} files are no tables and are left out: {quoted_list(others)}")
    return _with_results(tables, out)


def _with_results(tables: Iterable[Path], out: Path) -> list[Shard]:
    shards = [Shard(path, out / _result_name(path)) for path in tables]
    by_result = defaultdict(list)
    for shard in shards:
        by_result[shard.out.name.lower()].append(shard.table.name)
    for name, sources in by_result.items():
        if len(sources) > 1:
            raise UserError(
                f"{quoted_list(sources)} would all be scored into {quoted(name)}. Rename them, "
                "so that their names differ in more than the suffix or the case of letters."
            )
    return shards


def _result_name(table: Path) -> str:
    suffix = table.suffix.lower()
    return f"{table.stem}{WRITTEN_AS.get(suffix, suffix)}"


def made_from(shard: Shard, model: dict[str, Any]) -> dict[str, Any]:
    """Return what the results of a shard depend on.

    The table is recognised by its size and time of change, as make and rsync do: comparing the
    content would read terabytes.
    """
    state = shard.table.stat()
    return {
        **model,
        "table": shard.table.name,
        "bytes": state.st_size,
        "changed": state.st_mtime_ns,
    }


def is_finished(shard: Shard, model: dict[str, Any]) -> bool:
    """Return whether there are results of this table by this model.

    Raises UserError if the record of a shard is damaged.
    """
    if not shard.out.is_file() or not shard.record.is_file():
        return False
    return read_object(shard.record, "Delete it") == made_from(shard, model)


def mark_unfinished(shard: Shard) -> None:
    """Remove the record, before results are replaced: no kill leaves one that does not fit them."""
    if shard.record.exists():
        shard.record.unlink()
        flush(shard.record.parent)


def mark_finished(shard: Shard, made: dict[str, Any]) -> None:
    """Record what the results were made from."""
    write_json(shard.record, made)


def warn_of_strangers(shards: list[Shard], out: Path) -> None:
    """Name results of earlier commands whose tables are gone: they would be counted with others."""
    records = {shard.record for shard in shards}
    gone = [path.stem for path in sorted((out / STATE).glob("*.json")) if path not in records]
    if gone := [name for name in gone if (out / name).is_file()]:
        log(f"{out}: {quoted_list(gone)} are results of tables that are gone; they are kept")
