"""The queue of memes that people review, and the file of their decisions."""

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from extract.tables.review_files import HATEFUL, NOT_HATEFUL, SKIP, UNDO
from runtime.errors import UserError
from runtime.files.atomic_files import flush

DECISIONS = (HATEFUL, NOT_HATEFUL, SKIP)

LEASE_SECONDS = 120
"""For this long, a meme that a reviewer has on the screen is given to nobody else."""


class ReviewMeme(NamedTuple):
    """A meme to review."""

    row: int
    id: str
    caption: str
    probability: float
    image: str = ""
    """Path of the picture; empty if it has none."""


class Offer(NamedTuple):
    """What a reviewer gets."""

    meme: ReviewMeme | None
    left: int
    """Memes that this reviewer has not seen and nobody has decided, with `meme`."""


class Lease(NamedTuple):
    """Who has a meme on the screen, and until when."""

    reviewer: str
    end: float


class ReviewConflictError(Exception):
    """Somebody else has decided the meme, or has it on the screen."""


class ReviewQueue:
    """Memes in their order of review. Threads may share it; a second process may not.

    Each decision is a line of the file `path`, which is on the disk before `decide` returns. A new
    queue resumes from that file. Decisions on other features, with another `stamp`, do not count:
    their ids may mean other memes.
    """

    def __init__(
        self,
        path: Path,
        memes: list[ReviewMeme],
        threshold: float,
        stamp: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Lock `path`. Raises UserError if another process has it, or for a damaged line."""
        self._path = path
        self._memes = {meme.row: meme for meme in memes}
        self._about = {"threshold": threshold, "stamp": stamp}
        self._clock = clock
        self._leases: dict[int, Lease] = {}
        self._made: dict[int, list[tuple[str, str]]] = {meme.row: [] for meme in memes}
        """By row: the decisions that stand, as (reviewer, decision)."""
        self._history: dict[str, list[int]] = {}
        """By reviewer: the rows decided, oldest first."""
        self._changing = threading.Lock()
        self._process = _only_process(path)
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock of the file."""
        self._process.release()

    def next(self, reviewer: str) -> Offer:
        """Lease the least certain meme that is left to a reviewer, or the one that he has already.

        The meme is None if none is left, or if others have all that are left.
        """
        with self._changing:
            return self._offer(reviewer)

    def decide(self, row: int, decision: str, reviewer: str) -> None:
        """Write one of DECISIONS to the file. To send the same one again changes nothing.

        Raises KeyError for a meme that is not in the queue, ReviewConflictError if another
        reviewer decided it or has its lease, OSError if the disk refuses; then nothing is written.
        """
        if decision not in DECISIONS:
            raise ValueError(f"found decision {decision!r}, allowed: {', '.join(DECISIONS)}")
        with self._changing:
            made = self._made[row]
            if (reviewer, decision) in made:
                return
            lease = self._live_lease(row)
            if not self._open_to(row, reviewer) or (lease and lease.reviewer != reviewer):
                raise ReviewConflictError
            self._append(row, decision, reviewer)
            self._leases.pop(row, None)

    def undo(self, reviewer: str) -> Offer:
        """Take back the latest decision of a reviewer that stands, and offer its meme again.

        Without one, this is `next`. Raises OSError as `decide` does.
        """
        with self._changing:
            if rows := self._history.get(reviewer):
                row = rows[-1]
                self._append(row, UNDO, reviewer)
                if self._open_to(row, reviewer) and not self._live_lease(row):
                    self._lease(row, reviewer)
            return self._offer(reviewer)

    def _offer(self, reviewer: str) -> Offer:
        left = [row for row in self._memes if self._open_to(row, reviewer)]
        leases = {row: self._live_lease(row) for row in left}
        mine = [row for row, lease in leases.items() if lease and lease.reviewer == reviewer]
        free = [row for row, lease in leases.items() if not lease]
        row = next(iter(mine + free), None)
        if row is None:
            return Offer(None, len(left))
        self._lease(row, reviewer)
        return Offer(self._memes[row], len(left))

    def _open_to(self, row: int, reviewer: str) -> bool:
        """Whether nobody has decided a meme and this reviewer has not skipped it."""
        made = self._made[row]
        return all(decision == SKIP and by != reviewer for by, decision in made)

    def _live_lease(self, row: int) -> Lease | None:
        lease = self._leases.get(row)
        return lease if lease and lease.end > self._clock() else None

    def _lease(self, row: int, reviewer: str) -> None:
        """Lease a meme; a reviewer has one lease at a time."""
        self._leases = {r: one for r, one in self._leases.items() if one.reviewer != reviewer}
        self._leases[row] = Lease(reviewer, self._clock() + LEASE_SECONDS)

    def _note(self, row: int, decision: str, reviewer: str) -> None:
        """Update what stands."""
        rows = self._history.setdefault(reviewer, [])
        if decision != UNDO:
            self._made[row].append((reviewer, decision))
            rows.append(row)
        elif row in rows:
            rows.remove(row)
            self._made[row] = [one for one in self._made[row] if one[0] != reviewer]

    def _append(self, row: int, decision: str, reviewer: str) -> None:
        meme = self._memes[row]
        record = {
            "id": meme.id,
            "decision": decision,
            "reviewer": reviewer,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "probability": meme.probability,
            **self._about,
            # `extract --add` needs these if the data no longer hold the meme.
            "caption": meme.caption,
            "image": meme.image,
        }
        _append_line(self._path, json.dumps(record, ensure_ascii=False))
        self._note(row, decision, reviewer)

    def _resume(self) -> None:
        """Mend the file and note its decisions."""
        row_of_id = {meme.id: meme.row for meme in self._memes.values()}
        for record in _read_mended(self._path):
            if record["stamp"] == self._about["stamp"] and record["id"] in row_of_id:
                self._note(row_of_id[record["id"]], record["decision"], record["reviewer"])


def _only_process(path: Path) -> FileLock:
    """Lock `path` against other servers."""
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"{path} is used by another server. Stop it first: two would give the same meme to two "
            "reviewers."
        ) from error
    return lock


def _append_line(path: Path, line: str) -> None:
    """Append a line and wait until it is on the disk. If that fails, nothing remains of it."""
    new = not path.exists()
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            data = memoryview(f"{line}\n".encode())
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
            if new:
                flush(path.parent)
        except BaseException:
            file.truncate(end)
            raise


def _read_mended(path: Path) -> list[dict[str, Any]]:
    """Return the decisions of a file, after removing a last line that a crash has cut off."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        # Its line end was not written, so nobody was told that the decision was saved.
        os.truncate(path, len(whole))
    lines = whole.splitlines()
    return [_read_record(path, number, line) for number, line in enumerate(lines, 1)]


def _read_record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        texts = [record[key] for key in ("id", "decision", "reviewer", "stamp")]
        if record["decision"] in (*DECISIONS, UNDO) and all(isinstance(x, str) for x in texts):
            return record
    except (ValueError, LookupError, TypeError):
        pass
    raise UserError(
        f"{path}, line {number} is not a decision: allowed is a JSON object with id, decision, "
        "reviewer and stamp. Mend or delete the line, then start again."
    )
