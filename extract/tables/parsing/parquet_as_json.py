"""Print a Parquet file as JSON lines, in a process of its own: damaged files can crash the parser.

python parquet_as_json.py FILE [FOLDER [NAME ...]]

Bytes in the columns with one of the NAMEs, or in the only column of bytes, are pictures: plain, or
as Hugging Face's datasets have them (a struct of `bytes` and `path`). They are written to FOLDER as
files called by their SHA-256. Their cell becomes an object with this name as `file`, and with
`path`. The first line that is printed is a list of these columns. Bytes in other columns are left
out: their cell becomes an object that says so.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars

ROWS = 256
"""Rows whose pictures are in memory at a time; the parser reads at least one row group."""

CANNOT_WRITE = 3
"""Exit code if a picture cannot be written."""


def main() -> None:
    """Print each row. The last line of stderr says why a file cannot be read."""
    import polars

    file, folder = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        table = polars.scan_parquet(file, glob=False, hive_partitioning=False)
        schema = table.collect_schema()
        found = [name for name, kind in schema.items() if "Binary" in str(kind)]
        packed = _columns_of_pictures(found, sys.argv[3:])
        _require_pictures(schema, packed, folder)
        sys.stdout.buffer.write(json.dumps(packed).encode() + b"\n")
        left_out = polars.struct(polars.lit("bytes").alias("left_out"))
        table = table.with_columns(left_out.alias(name) for name in {*found} - {*packed})
        if not packed:
            table.collect().write_ndjson(sys.stdout.buffer)
            return
        for part in _parts(table):
            cells = [_unpack(part[name], folder) for name in packed]
            part.with_columns(cells).write_ndjson(sys.stdout.buffer)
    except polars.exceptions.PolarsError as error:
        sys.exit(" ".join(str(error).split()))
    except OSError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(1 if folder is None or error.filename == file else CANNOT_WRITE)


def _columns_of_pictures(found: list[str], names: list[str]) -> list[str]:
    """Choose among the columns of bytes: those with one of the names, or the only one."""
    named = [one for one in found if one in names or one.lower().replace(" ", "_") in names]
    return named or (found if len(found) == 1 else [])


def _require_pictures(schema: "polars.Schema", packed: list[str], folder: Path | None) -> None:
    import polars

    for name in packed:
        kind = schema[name]
        fields = dict(kind) if isinstance(kind, polars.Struct) else {"bytes": kind}
        others = {key: field for key, field in fields.items() if key != "bytes"}
        known = fields.get("bytes") == polars.Binary and others in ({}, {"path": polars.String})
        if folder is None or not known:
            also = " or bytes, alone or with a path" * (folder is not None)
            sys.exit(f"column {name} holds {kind}; allowed are paths of pictures{also}, and text")


def _parts(table: "polars.LazyFrame") -> Iterator["polars.DataFrame"]:
    import polars

    count = table.select(polars.len()).collect().item()
    for start in range(0, count, ROWS):
        yield table.slice(start, ROWS).collect()


def _unpack(column: "polars.Series", folder: Path) -> "polars.Series":
    """Write the pictures of a column; return its cells: structs of `file` and `path`."""
    import polars

    cells = []
    for cell in column:
        content, path = (
            (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        )
        cells.append({"file": None if content is None else _write(content, folder), "path": path})
    kind = polars.Struct({"file": polars.String, "path": polars.String})
    return polars.Series(column.name, cells, dtype=kind)


def _write(content: bytes, folder: Path) -> str:
    """Write a picture, unless it is there; return its name."""
    name = hashlib.sha256(content).hexdigest()
    path = folder / name
    if not path.is_file() or path.stat().st_size != len(content):
        partial = folder / f"{name}.{os.getpid()}.partial"
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return name


if __name__ == "__main__":
    main()
