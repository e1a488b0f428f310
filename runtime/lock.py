"""The lock of a run: one command at a time works on it."""

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from runtime.errors import ADVICE, UserError
from runtime.files.atomic_files import remove_leftovers
from runtime.processes import first, world

WRITTEN_FOLDERS = (
    *("heads", "heads/*/", "pictures"),
    *("unfinished", "unfinished/*/", "unfinished/*/*/"),
)
"""Folders of a run that commands write to, besides the run folder itself."""


@contextmanager
def locked(run: Path, distributed: bool = False, flag: str = "--run") -> Iterator[Path]:
    """Hold the run's lock and yield its folder, from which leftovers of killed commands are gone.

    `flag` is the one that names the folder, for the message.

    Raises UserError, which names the holder, if another process holds the lock; also if torchrun
    started several processes and the command is not `distributed`.

    The operating system releases the lock when the process ends in any way. The lock file is next
    to the run folder, which need not exist. Under torchrun, rank 0 holds it for all ranks.
    """
    if not distributed:
        require_single_process()
    if not first():
        yield run
        return
    holder = _holder_path(run)
    try:
        run.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(_lock_path(run))
    except OSError as error:
        # A Timeout is an OSError without an errno.
        if error.errno:
            advice = ADVICE.get(error.errno, f"Choose another {flag}")
            raise UserError(
                f"{flag}: {run} cannot be locked: {error.strerror}. {advice}."
            ) from error
        raise UserError(
            f"{run} is in use by {_read_holder(holder)}. Wait until it ends, or use another {flag}."
        ) from error
    try:
        holder.write_text(json.dumps(_this_process()), encoding="utf-8")
        # Only where commands write: other folders in the run belong to the user.
        remove_leftovers([run, *(path for name in WRITTEN_FOLDERS for path in run.glob(name))])
        yield run
    finally:
        holder.unlink(missing_ok=True)
        if not run.exists():  # The command was refused. filelock notices if its file is gone.
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def lock_holder(run: Path) -> str | None:
    """Describe the process that holds the run's lock; None if there is none. Writes nothing."""
    if not _lock_path(run).exists():
        return None
    try:
        _acquire(_lock_path(run)).release()
        return None
    except Timeout:
        return _read_holder(_holder_path(run))
    except OSError as error:
        # Nobody writes to a folder that is read-only.
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return None
        raise


def _acquire(path: Path) -> BaseFileLock:
    """Lock `path`; where the file system has no locks, by a file that names the process.

    Raises Timeout if another process holds the lock.
    """
    try:
        return _acquired(FileLock(path, timeout=0))
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
    return _acquired(SoftFileLock(path.with_suffix(".softlock"), timeout=0))


def _acquired(lock: BaseFileLock) -> BaseFileLock:
    lock.acquire()
    return lock


def require_single_process() -> None:
    """Raise UserError if torchrun started several processes."""
    if world() > 1:
        raise UserError("torchrun: only the command extract can run in several processes")


def _lock_path(run: Path) -> Path:
    return run.with_name(f".{run.name}.lock")


def _holder_path(run: Path) -> Path:
    return _lock_path(run).with_suffix(".holder")


def _this_process() -> dict[str, str | int]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"process": os.getpid(), "command": command, "since": time.strftime("%F %T")}


def _read_holder(path: Path) -> str:
    """Describe the process in the holder file, which is written just after the lock is taken."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f'process {holder["process"]} ("{holder["command"]}", since {holder["since"]})'
    except (OSError, LookupError, TypeError, ValueError):
        return "another process, which has just started"
