"""Read what reviewers decided on the Review page: review.jsonl files."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from extract.tables.parsing.text_cells import read_id, unreadable
from runtime.errors import UserError, raise_if_system_error

HATEFUL, NOT_HATEFUL, SKIP, UNDO = "hateful", "not", "skip", "undo"
"""What a line can say. `undo` takes back what the reviewer last said of the meme."""

LABELS = {HATEFUL: 1, NOT_HATEFUL: 0}

EXPECTED = (
    f"allowed is a JSON object with id, decision ({HATEFUL}, {NOT_HATEFUL}, {SKIP} or {UNDO}), "
    "reviewer and time, as the Review page writes it to runs/NAME/review.jsonl"
)


class Review(NamedTuple):
    """One reviewer's decision on one meme, which was neither skipped nor taken back."""

    time: datetime
    id: str
    label: int
    reviewer: str
    caption: str | None
    """As it was shown; None if the file does not say."""
    image: str | None
    """Path of the picture, empty if the meme has none; None if the file does not say."""
    file: str
    line: int


def read_reviews(files: list[Path]) -> list[Review]:
    """Return the decisions that stand, oldest first; a file that is named twice counts once.

    Raises UserError for a missing file, and for a line that is no decision.
    """
    distinct = {path.resolve(): path for path in files}
    reviews = [review for path in distinct.values() for review in _standing(path)]
    return sorted(reviews, key=lambda review: review.time)


def require_review_file(path: Path) -> None:
    """Raise UserError if there is no such file."""
    if not path.is_file():
        raise UserError(
            f"--add: there is no file {path}. Decisions of the Review page (python pipeline.py "
            "serve) are in runs/NAME/review.jsonl."
        )


def _standing(path: Path) -> list[Review]:
    """Return the last decision of each reviewer on each meme."""
    standing: dict[tuple[str | None, ...], Review] = {}
    for number, record in _records(path):
        meme = record["id"], record.get("caption"), record.get("image"), record["reviewer"]
        if record["decision"] == UNDO:
            standing.pop(meme, None)
        elif record["decision"] in LABELS:
            standing[meme] = Review(
                record["time"], record["id"], LABELS[record["decision"]], record["reviewer"],
                record.get("caption"), record.get("image"), str(path), number,
            )  # fmt: skip
    return list(standing.values())


def _records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    require_review_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise_if_system_error(path, error)
        raise
    # The service appends while we read: a last line without its end is not saved yet.
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [(number, _record(path, number, line)) for number, line in numbered]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        texts = [record[key] for key in ("id", "decision", "reviewer", "time")]
        texts += [record[key] for key in ("caption", "image") if key in record]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a value is not text")
        fault = read_id(record["id"])[1] or next(filter(None, map(unreadable, texts)), None)
        if fault:
            raise ValueError(fault)
        if record["decision"] not in (*LABELS, SKIP, UNDO):
            raise ValueError(f"its decision is {record['decision']!r}")
        time = datetime.fromisoformat(record["time"])
        if time.tzinfo is None:
            raise ValueError("its time has no time zone")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        fault = f"{path}, line {number} is no decision of a reviewer ({_reason(error)})"
        raise UserError(f"--add: {fault}: {EXPECTED}.") from error
    return record | {"time": time}


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error).split(": line")[0]
