"""The console for results: stdout, coloured on a terminal, plain and 80 columns wide in a pipe."""

import io
import sys

from rich.console import Console

WIDTH = 80


def tolerate_encodings() -> None:
    """Make stdout and stderr print a "?" for what their encoding lacks, rather than fail.

    Windows consoles and some pipes are in cp1252 or ASCII.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_data(text: str) -> None:
    """Print a table of data to stdout, in UTF-8 whatever the console's encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")
    print(text, end="")


def results_console() -> Console:
    """Return a console on the current stdout."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
