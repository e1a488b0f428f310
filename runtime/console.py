"""The console for results: stdout, coloured on a terminal, plain and 80 columns wide in a pipe."""

from rich.console import Console

WIDTH = 80


def results_console() -> Console:
    """Return a console on the current stdout."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)
