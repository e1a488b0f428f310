"""UserError, and the messages of errors that the user can fix."""

import errno
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CTRL_C = 130
"""Exit code of a command that was interrupted."""

INTERRUPTED = (
    "interrupted: no file is left half-written. Run the same command again to resume after the "
    "finished steps of the run. To see them, run: python pipeline.py status"
)


PERMISSIONS = "Check the permissions of the file and of its folders"
FULL = "Free some space, or raise the quota"
NETWORK = "Check the disk or the network mount"
BUSY = "Close the other programs that use it"
TOO_MANY_FILES = "Raise the limit of open files (ulimit -n), or close other programs"

ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), PERMISSIONS),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.ENODEV, errno.ENXIO), NETWORK),
    **dict.fromkeys((errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENOLCK), NETWORK),
    **dict.fromkeys((errno.EAGAIN, errno.EBUSY, errno.ETXTBSY, errno.EDEADLK, errno.EINTR), BUSY),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), TOO_MANY_FILES),
    errno.ENOMEM: "Close other programs, or use a machine with more memory",
}
"""Errors of the system -> what to do. Others, such as EINVAL, can come from damaged content."""


def system_errno(error: BaseException) -> int | None:
    """Return the number of an error that the system caused, or None for another error.

    HDF5 and safetensors may give it only in their message: "errno = 5", "(os error 5)".
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := re.search(r"(?:errno =|os error) (\d+)", str(error))):
        number = int(found[1])
    return number if number in ADVICE else None


COMMAND = re.compile(
    r"python pipeline\.py (?:extract|fit-heads|submit|report|check|status|predict|export)"
    r"(?![^\n;]* --run )"
)


def name_run(text: str, run: str) -> str:
    """Return `text` with --run in each command that it advises, unless `run` is the default."""
    if run == "default":
        return text
    return COMMAND.sub(lambda command: f"{command[0]} --run {argument(run)}", text)


class UserError(Exception):
    """A mistake in data, flags or files. The message says what, where, what is allowed, what next.

    The command line prints it without a traceback and exits with code 2.
    """


def error_message(error: Exception) -> str:
    """Return what the command line prints for a UserError, a typer error or an error of the system.

    Re-raises any other OSError, which is a bug.
    """
    if isinstance(error, OSError):
        if (advice := ADVICE.get(error.errno)) is None:
            raise error
        return f"{error.filename or 'the disk'}: {error.strerror}. {advice}."
    if close_matches := getattr(error, "possibilities", None):
        return f"{error.message}. Did you mean {' or '.join(close_matches)}?"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if context := getattr(error, "ctx", None):  # a command or flag that does not exist
        see = f"python {context.command_path} --help"
        return f"{message.rstrip('.')}. To see what there is, run: {see}"
    return message


def raise_if_system_error(path: Path, error: BaseException) -> None:
    """Raise UserError if the system refused to read `path`, which may be sound then."""
    if number := system_errno(error):
        raise UserError(
            f"{path} cannot be read: {os.strerror(number)}. Nothing shows that it is damaged, so "
            f"keep it. {ADVICE[number]}; then run the same command again."
        ) from error


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
        raise_if_system_error(path, error)
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). {remedy}") from error


MAX_LISTED = 30


def quoted(text: str) -> str:
    """Return `text` in quotes, shortened and escaped so that any terminal can print it."""
    return f'"{repr(text[:80])[1:-1]}{"..." * (len(text) > 80)}"'


def argument(text: str) -> str:
    """Return `text` as an argument of a command line; escaped as in `quoted` if not printable."""
    return shlex.quote(text) if text.isprintable() else quoted(text)


def quoted_list(names: Iterable[str]) -> str:
    """Return names in quotes, separated by commas; only the first MAX_LISTED of a long list."""
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(quoted, names[:MAX_LISTED])) + more
