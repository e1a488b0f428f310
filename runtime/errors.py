"""Errors that are the user's to mend, and their words."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

OF_THE_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No permission, no room."""

CTRL_C = 130
"""Exit code of a command that was interrupted."""

INTERRUPTED = (
    "interrupted: no file is left half-written. The same command goes on from the steps of a run "
    "that are finished, which python pipeline.py status shows."
)


class UserError(Exception):
    """A mistake in data, flags or files. The message says what, where, what is allowed, what next.

    The command line prints it without a traceback and exits with code 2.
    """


def explain(error: Exception) -> str:
    """What the command line says of a UserError, of typer's errors and of the disk's.

    Raises any other OSError again: that one is ours to mend.
    """
    if isinstance(error, OSError):
        if error.errno not in OF_THE_DISK:
            raise error
        return f"{error.filename or 'the disk'}: {error.strerror}"
    if near := getattr(error, "possibilities", None):
        return f"{error.message}. Did you mean {' or '.join(near)}?"
    return error.format_message() if hasattr(error, "format_message") else str(error)


@contextmanager
def damage_named(path: Path, remedy: str) -> Iterator[None]:
    """Turn what a library raises over a file into a UserError; `remedy` says what to do."""
    if not path.is_file():
        raise UserError(f"{path} is missing. {remedy}")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a parser that is fed anything may raise anything
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). {remedy}") from error


MOST_LISTED = 30


def shown(text: str) -> str:
    """Return `text` in quotes, short and printable on any terminal."""
    return f'"{repr(text[:80])[1:-1]}{"..." * (len(text) > 80)}"'


def listed(names: Iterable[str]) -> str:
    """Return names in quotes with commas between them; of very many, the first."""
    names = list(names)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(map(shown, names[:MOST_LISTED])) + more
