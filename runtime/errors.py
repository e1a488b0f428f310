"""UserError, and the messages of errors that the user can fix."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No permission, read-only, or no space left."""

CTRL_C = 130
"""Exit code of a command that was interrupted."""

INTERRUPTED = (
    "interrupted: no file is left half-written. Run the same command again to resume after the "
    "finished steps of the run. To see them, run: python pipeline.py status"
)


class UserError(Exception):
    """A mistake in data, flags or files. The message says what, where, what is allowed, what next.

    The command line prints it without a traceback and exits with code 2.
    """


def error_message(error: Exception) -> str:
    """Return what the command line prints for a UserError, a typer error or a disk error.

    Re-raises any other OSError, which is a bug.
    """
    if isinstance(error, OSError):
        if error.errno not in DISK_ERRORS:
            raise error
        return f"{error.filename or 'the disk'}: {error.strerror}"
    if close_matches := getattr(error, "possibilities", None):
        return f"{error.message}. Did you mean {' or '.join(close_matches)}?"
    return error.format_message() if hasattr(error, "format_message") else str(error)


@contextmanager
def user_error_if_damaged(path: Path, remedy: str) -> Iterator[None]:
    """Raise UserError if `path` is missing or reading it fails; `remedy` says what to do."""
    if not path.is_file():
        raise UserError(f"{path} is missing. {remedy}")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # given a damaged file, a parser may raise any exception
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). {remedy}") from error


MAX_LISTED = 30


def quoted(text: str) -> str:
    """Return `text` in quotes, shortened and escaped so that any terminal can print it."""
    return f'"{repr(text[:80])[1:-1]}{"..." * (len(text) > 80)}"'


def quoted_list(names: Iterable[str]) -> str:
    """Return names in quotes, separated by commas; only the first MAX_LISTED of a long list."""
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(quoted, names[:MAX_LISTED])) + more
