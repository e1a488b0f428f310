"""Random tables of memes, mutations of their bytes, and checks of what is read from them."""

import csv
import io
import json
import re
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import read_memes
from runtime.errors import UserError

IMAGES = ("img/a.png", "b.png", "img/ü 2.png")
PIECES = (
    *("love the way", "you smell", "é", "ñandú", "مرحبا بك", "שלום", "👩‍👩‍👧‍👦", "\u202etxet"),
    *(",", ";", "\t", '"', '""', "'", "\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "\x1c", "\\"),
    *("\ufeff", "NaN", "null", "-1", "0,1", "=1+1", "<b>", "{}", '"id":', "\\u0041", " "),
)
STEMS = ("00", "7", "1e5_", "-0", "0x1F", "é", "🦨", "id ", "NaN", "9" * 30, " 1", '"')
INSERTED = (
    *(b'"', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xe9", b"\xef\xbb\xbf"),
    *(b'""', b'",', b'"\n', b"'", b"\\", b"{", b"}", b"[", b":", b"0", b"1", b"-", b" ", b"a"),
)
PROBLEM = r"  ( ?[\w.]+:\d+: \S|[\w., ]+: \d+ rows have|  [\w.]+:\d+: |and \d+ rows with)"
"""A line about a bad row, or about several."""


@dataclass(frozen=True)
class Meme:
    """One row of a table, as text."""

    id: str
    img: str
    text: str
    label: str


def draw_memes(rng, count, start=0):
    """Return random memes with unique ids and labels of both classes."""
    return [
        Meme(
            f"{STEMS[rng.integers(len(STEMS))]}{start + number:03}",
            IMAGES[rng.integers(len(IMAGES))],
            "".join(PIECES[i] for i in rng.integers(len(PIECES), size=rng.integers(5))) + "w",
            str(number % 2),
        )
        for number in range(count)
    ]


def csv_lines(memes, delimiter=",", end="\n", quoting=csv.QUOTE_MINIMAL, bom=b""):
    """Return the header and each row as bytes."""
    lines = []
    for fields in [("id", "img", "text", "label"), *map(astuple, memes)]:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=delimiter, quoting=quoting).writerow(fields)
        lines.append((line.getvalue().removesuffix("\r\n") + end).encode())
    return [bom + lines[0], *lines[1:]]


def jsonl_lines(memes, ascii_only=True):
    """Return each row as bytes."""
    rows = [vars(meme) | {"label": int(meme.label)} for meme in memes]
    return [(json.dumps(row, ensure_ascii=ascii_only) + "\n").encode() for row in rows]


def json_lines(memes):
    """Return a JSON array as bytes: its bracket, then each row."""
    rows = [line.rstrip(b"\n") for line in jsonl_lines(memes)]
    return [b"[\n", *(row + b",\n" for row in rows[:-1]), rows[-1] + b"\n]\n"]


def mutate(content, rng):
    """Change bytes at a random position; return the new content, and the span that changed."""
    start = int(rng.integers(len(content)))
    end = min(len(content), start + int(rng.integers(1, 4) ** 3))
    match rng.integers(6):
        case 0:
            end, changed = start + 1, bytes([content[start] ^ (1 << rng.integers(8))])
        case 1:
            indices = rng.integers(len(INSERTED), size=rng.integers(1, 4))
            end, changed = start, b"".join(INSERTED[index] for index in indices)
        case 2:
            changed = b""
        case 3:
            changed = content[start:end] * 2
        case 4:
            changed = rng.bytes(end - start)
        case _:
            end, changed = (len(content) if rng.integers(4) == 0 else start + 1), b""
    return content[:start] + changed + content[end:], start, end


def unchanged_lines(lines, start, end):
    """Return the indices of lines that neither contain nor touch the span."""
    unchanged, offset = [], 0
    for number, line in enumerate(lines):
        if offset > end or offset + len(line) < start:
            unchanged.append(number)
        offset += len(line)
    return unchanged


def create_data_folder(path: Path) -> Path:
    """Create a data folder with the files IMAGES."""
    for name in IMAGES:
        image = path / name
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"not decoded in these tests")
    return path


def read_table(data, on_bad_rows="stop"):
    """Return (table, notes) or the message of a UserError; raise any other exception."""
    try:
        table, problems, notes = read_memes(data)
        table, _ = resolve_bad_rows(table, problems, on_bad_rows)
    except UserError as error:
        return str(error)
    return table, notes


def rows_of(table, data, split):
    """Return the rows of one split as memes."""
    rows = table.rows[table.rows["split"] == split]
    images = [path.removeprefix(f"{data.resolve()}/") for path in rows["image"]]
    columns = zip(rows["id"], images, rows["caption"], map(str, rows["label"]), strict=True)
    return [Meme(*fields) for fields in columns]


def check_message(message, file):
    """Check that the message names the file, and each bad row on a separate line."""
    assert file in message, message
    assert len(message) < 20_000
    message.encode()
    if "in the data:" in message:
        problems = [line for line in message.split("\n") if line.startswith("  ")]
        assert problems and len(problems) <= 20
        for line in problems:
            assert re.match(PROBLEM, line), message


def check_subset(expected, found, case):
    """Check that every expected meme is found unchanged and in order."""
    remaining = iter(found)
    for meme in expected:
        if not any(meme == other for other in remaining):
            pytest.fail(f"{case}: {meme} was lost; found {found}")
