"""Tables of memes written to disk, mutations of their bytes, and what must come of them."""

import csv
import io
import json
import re
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from extract.data.bad_rows import resolve_bad_rows
from extract.data.read_memes import read_memes
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


@dataclass(frozen=True)
class Meme:
    """A row as it is written."""

    id: str
    img: str
    text: str
    label: str


def draw_memes(rng, count, start=0):
    """Memes whose ids differ and whose labels hold both classes."""
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
    """The header and each row as bytes."""
    lines = []
    for fields in [("id", "img", "text", "label"), *map(astuple, memes)]:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=delimiter, quoting=quoting).writerow(fields)
        lines.append((line.getvalue().removesuffix("\r\n") + end).encode())
    return [bom + lines[0], *lines[1:]]


def jsonl_lines(memes, ascii_only=True):
    """Each row as bytes."""
    rows = [vars(meme) | {"label": int(meme.label)} for meme in memes]
    return [(json.dumps(row, ensure_ascii=ascii_only) + "\n").encode() for row in rows]


def mutate(content, rng):
    """Change bytes at one place: the new content, and the span of the old one that was touched."""
    start = int(rng.integers(len(content)))
    end = min(len(content), start + int(rng.integers(1, 4) ** 3))
    match rng.integers(6):
        case 0:
            end, changed = start + 1, bytes([content[start] ^ (1 << rng.integers(8))])
        case 1:
            places = rng.integers(len(INSERTED), size=rng.integers(1, 4))
            end, changed = start, b"".join(INSERTED[place] for place in places)
        case 2:
            changed = b""
        case 3:
            changed = content[start:end] * 2
        case 4:
            changed = rng.bytes(end - start)
        case _:
            end, changed = (len(content) if rng.integers(4) == 0 else start + 1), b""
    return content[:start] + changed + content[end:], start, end


def untouched(lines, start, end):
    """Numbers of the lines that neither hold nor border on the span."""
    kept, offset = [], 0
    for number, line in enumerate(lines):
        if offset > end or offset + len(line) < start:
            kept.append(number)
        offset += len(line)
    return kept


def folder(path: Path) -> Path:
    """A data folder with the pictures of IMAGES."""
    for name in IMAGES:
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"not looked into here")
    return path


def outcome(data, on_bad_rows="stop"):
    """(table, notes), or the message of the UserError; anything else is raised."""
    try:
        table, problems, notes = read_memes(data)
        table, _ = resolve_bad_rows(table, problems, on_bad_rows)
    except UserError as error:
        return str(error)
    return table, notes


def rows_of(table, data, split):
    """The rows of one split as the memes that were written."""
    rows = table.rows[table.rows["split"] == split]
    images = [path.removeprefix(f"{data.resolve()}/") for path in rows["image"]]
    columns = zip(rows["id"], images, rows["caption"], map(str, rows["label"]), strict=True)
    return [Meme(*fields) for fields in columns]


def check_message(message, file):
    """The message names the file, and every bad row by a line of its own."""
    assert file in message, message
    assert len(message) < 20_000
    message.encode()
    if "in the data:" in message:
        _, *listed, _ = message.split("\n")
        for line in listed:
            assert re.match(r"  [\w.]+:\d+: \S", line), message


def check_subset(expected, found, case):
    """Every expected meme is found, as it was written and in order."""
    rest = iter(found)
    for meme in expected:
        if not any(meme == other for other in rest):
            pytest.fail(f"{case}: {meme} was lost; found {found}")
