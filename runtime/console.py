"""Where results are shown: stdout, in colour on a terminal, plain and 80 columns wide in a pipe."""

from rich.console import Console

WIDTH = 80


def results_console() -> Console:
    """A console on stdout as it is now."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
