"""Read a file as a Table, whatever its format; name its encoding if it is another."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from extract.tables.parsing.csv_tables import parse_csv
from extract.tables.parsing.json_tables import parse_json_table
from extract.tables.parsing.parquet_as_json import CANNOT_WRITE
from extract.tables.parsing.parsed_table import Table, UnpackedPicture
from extract.tables.parsing.problem import summarise
from runtime.errors import UserError

PARQUET_AS_JSON = Path(__file__).with_name("parquet_as_json.py")

FOREIGN = (
    (
        re.compile(rb"PK\x03\x04|\xd0\xcf\x11\xe0"),
        "an Excel or ZIP file: save it as CSV, or unpack it",
    ),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ"), "compressed: unpack it"),
    (re.compile(rb"PAR1"), "Parquet: end its name with .parquet"),
    (re.compile(rb"\s*<(!doctype|html|\?xml)", re.I), "a web page, so a download has failed"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer: run git lfs pull"),
)
"""First bytes of files that are often found in place of a table, and what they are."""

LINE_END = re.compile(rb"\r\n?|\n")

SNIFFED = 4000
"""Bytes in which UTF-16 is recognised."""

LONG_RUN = re.compile(rb"[\x80-\xff]{4,}")
"""Bytes beyond ASCII in a word of another script."""

MAX_ODD_LINES = 3
"""More lines that are not UTF-8 mean that the file has another encoding. Fewer are bad rows."""


def read_table(
    path: Path,
    encoding: str = "utf-8",
    unpack_to: Path | None = None,
    name: str = "",
    pictures: Sequence[str] = (),
) -> Table:
    """Read a CSV, TSV, JSON or Parquet file; rows that cannot be read become `problems`.

    Messages about rows call it `name`, or as the file is called. `pictures` are names of columns
    that may hold the bytes of pictures; if a Parquet file has several columns of bytes, the others
    are not unpacked.
    Pictures whose bytes a Parquet file holds are written to the folder `unpack_to`. Raises
    UserError for a table without rows, in another encoding, with a repeated column, or without any
    readable row.
    """
    name = name or path.name
    match path.suffix.lower():
        case ".parquet":
            table = _read_parquet(path, unpack_to, name, pictures)
        case ".json" | ".jsonl" | ".ndjson":
            table = parse_json_table(_read_text(path, encoding), name)
        case _:
            table = parse_csv(_read_text(path, encoding), name)
    if not table.records and table.problems:
        lines = "".join(f"\n  {line}" for line in summarise(table.problems))
        advice = "".join(f"\n{text}." for text in {p.advice: None for p in table.problems} if text)
        raise UserError(f"no row can be read:{lines}{advice}")
    if not table.records:
        raise UserError(f"{path} is an empty table: it has a header and no rows.")
    return replace(table, path=path)


def _read_text(path: Path, encoding: str) -> str:
    content = _read_bytes(path)
    for start, found in FOREIGN:
        if start.match(content):
            raise UserError(f"{path} is not a table but {found}.")
    if encoding == "utf-8":
        _require_no_utf16(path, content)
    text = _decode(path, content, encoding)
    if not text.strip():
        raise UserError(f"{path} is an empty file.")
    return text


def _require_no_utf16(path: Path, content: bytes) -> None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16. Pass --encoding utf-16, or save it as UTF-8.")
    for name, start in (("utf-16-le", 1), ("utf-16-be", 0)):
        if content[start:SNIFFED:2].count(0) > len(content[:SNIFFED]) / 4:
            raise UserError(
                f"{path} is UTF-16 without a mark. Pass --encoding {name}, or save it as UTF-8."
            )


def _read_bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error


def _decode(path: Path, content: bytes, encoding: str) -> str:
    if encoding == "utf-8" or _is_surely_utf8(content, encoding):
        _require_utf8(path, content)
        # Bytes that are not UTF-8 become lone surrogates, which make their row a bad one.
        return content.decode("utf-8-sig", errors="surrogateescape")
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        raise UserError(
            f"{path} is not in the encoding of --encoding {encoding} ({error})."
        ) from error


def _is_surely_utf8(content: bytes, encoding: str) -> bool:
    """Return whether a table is UTF-8 although the others have another encoding.

    Excel may have saved one of them. No other encoding gives valid UTF-8 beyond ASCII by chance;
    NUL and ESC occur in UTF-16 and ISO-2022.
    """
    if b"\0" in content or b"\x1b" in content or not _is_utf8(content):
        return False
    return not content.isascii() or "a".encode(encoding) != b"a"


def _require_utf8(path: Path, content: bytes) -> None:
    """Raise UserError, which names the likely encoding, if many lines are not UTF-8."""
    numbered = enumerate(LINE_END.split(content), 1)
    odd = {number: line for number, line in numbered if not _is_utf8(line)}
    if len(odd) <= MAX_ODD_LINES:
        return
    lines = ", ".join(map(str, [*odd][:MAX_ODD_LINES]))
    raise UserError(
        f"{path} is not UTF-8: {len(odd)} lines are not, for example {lines}. "
        f"{_encoding_advice(b''.join(odd.values()))}. Check a caption in the report, or save the "
        "table as UTF-8."
    )


def _encoding_advice(lines: bytes) -> str:
    """Name the likely encoding: in European languages, letters beyond ASCII stand alone."""
    beyond = sum(byte > 127 for byte in lines)
    in_runs = sum(map(len, LONG_RUN.findall(lines)))
    try:
        lines.decode("windows-1252")
    except UnicodeError:
        in_runs = beyond
    if in_runs <= beyond / 2:
        return "It is probably Windows-1252 (Excel on Windows): pass --encoding windows-1252"
    return (
        "Pass its encoding: --encoding gb18030 (Chinese), shift_jis (Japanese), euc_kr (Korean), "
        "windows-1251 (Cyrillic) or windows-1256 (Arabic)"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_parquet(path: Path, unpack_to: Path | None, name: str, pictures: Sequence[str]) -> Table:
    _read_bytes(path, 1)
    command = [sys.executable, PARQUET_AS_JSON, str(path)]
    if unpack_to is not None:
        unpack_to.mkdir(parents=True, exist_ok=True)
        command += [str(unpack_to), *pictures]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        last_line = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        if done.returncode == CANNOT_WRITE:
            raise UserError(
                f"{path}: its pictures cannot be unpacked into {unpack_to}: {last_line}."
            )
        raise UserError(f"{path} cannot be read as Parquet ({last_line or 'the parser crashed'}).")
    packed, _, rows = done.stdout.decode().partition("\n")
    table = parse_json_table(rows, name)
    for column in json.loads(packed):
        for _, fields in table.records:
            fields[column.strip()] = _picture(fields.get(column.strip()), unpack_to)
    return table


def _picture(cell: object, folder: Path) -> object:
    """Return what a cell of a column of bytes holds: a picture, or only its path."""
    cell = cell or {"file": None, "path": None}
    name = cell["path"] or ""
    return UnpackedPicture(folder / cell["file"], name) if cell["file"] else name
