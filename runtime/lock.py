"""One command at a time on a run."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from runtime.atomic_files import remove_leftovers
from runtime.errors import UserError
from runtime.processes import first, world

WRITTEN = ("heads", "heads/*/", "unfinished", "unfinished/*/", "unfinished/*/*/")
"""Folders of a run that commands write to, beside the run's own."""


@contextmanager
def locked(run: Path, ranks: bool = False) -> Iterator[Path]:
    """Hold the run's lock, and yield its folder, free of what a killed command left half-made.

    Raises UserError, which names the holder, if another process has it; also if torchrun started
    several processes of a command that does not share out its work over `ranks`.

    The lock is the system's and ends with its process, however that ends. It lies beside the run's
    folder, which need not exist. Of processes that torchrun started, the first holds it for all.
    """
    if not ranks:
        refuse_ranks()
    if not first():
        yield run
        return
    holder = _holder(run)
    lock = FileLock(_path(run), timeout=0)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        # A Timeout is one too, and has no number.
        if error.errno:
            raise UserError(f"--run: {run} cannot be made: {error.strerror}") from error
        raise UserError(
            f"{run} is in use by {_read(holder)}. Wait until it has ended, or name another --run."
        ) from error
    try:
        holder.write_text(json.dumps(_describe()), encoding="utf-8")
        # Where commands write; whatever else a user keeps there is not looked at.
        remove_leftovers([run, *(path for end in WRITTEN for path in run.glob(end))])
        yield run
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def held_by(run: Path) -> str | None:
    """The process that holds the run's lock, if one does. Writes nothing."""
    if not _path(run).exists():
        return None
    try:
        with FileLock(_path(run), timeout=0):
            return None
    except Timeout:
        return _read(_holder(run))


def refuse_ranks() -> None:
    """Raise UserError if torchrun started several processes."""
    if world() > 1:
        raise UserError("torchrun: of all commands, only extract works in several processes")


def _path(run: Path) -> Path:
    return run.with_name(f".{run.name}.lock")


def _holder(run: Path) -> Path:
    return _path(run).with_suffix(".holder")


def _describe() -> dict[str, str | int]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"process": os.getpid(), "command": command, "since": time.strftime("%F %T")}


def _read(holder: Path) -> str:
    """What the holder wrote of itself; it may not have got to it yet."""
    try:
        about = json.loads(holder.read_text(encoding="utf-8"))
        return f'process {about["process"]} ("{about["command"]}", since {about["since"]})'
    except (OSError, LookupError, TypeError, ValueError):
        return "another process, which has only just begun"
