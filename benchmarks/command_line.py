"""Run a benchmark from the command line."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from runtime.errors import UserError
from runtime.progress import log


def run_command(main: Callable[..., Any]) -> None:
    """Call `main` with the flags. An error that the user can fix is one message and exit code 2."""
    try:
        typer.run(main)
    except UserError as error:
        log(f"error: {error}")
        sys.exit(2)
