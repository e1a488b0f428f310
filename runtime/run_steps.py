"""The state of each step of a run, as `status` prints it."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from runtime.console import results_console
from runtime.errors import UserError

DONE, BEGUN, STALE, MISSING = "done", "begun", "stale", "missing"

STYLES = {DONE: "green", BEGUN: "yellow", STALE: "red bold", MISSING: "dim"}


class Step(NamedTuple):
    """One step of a run. `begun` was interrupted and can resume; `stale` has outdated inputs."""

    name: str
    state: str
    detail: str
    """What exists or what is wrong, and what to run."""


def steps_or_error(name: str, steps: Callable[[], Iterable[Step]]) -> list[Step]:
    """Return the steps; on a UserError, one stale step `name` with the error's message."""
    try:
        return list(steps())
    except UserError as error:
        return [Step(name, STALE, str(error))]


def print_steps(steps: list[Step]) -> None:
    """Print one row per step to stdout."""
    console = results_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in steps:
        table.add_row(
            Text(step.name, "bold"), Text(step.state, STYLES[step.state]), Text(step.detail)
        )
    console.print(table)
