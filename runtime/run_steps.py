"""How far the steps of a run have come, and why one must run again."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from runtime.console import results_console
from runtime.errors import UserError

DONE, BEGUN, STALE, MISSING = "done", "begun", "stale", "missing"

STYLES = {DONE: "green", BEGUN: "yellow", STALE: "red bold", MISSING: "dim"}


class Step(NamedTuple):
    """One step: `begun` was broken off and goes on, `stale` is from what is no longer so."""

    name: str
    state: str
    about: str
    """What there is or what is wrong, and what to run."""


def steps_or_damage(name: str, steps: Callable[[], Iterable[Step]]) -> list[Step]:
    """The steps, or one that is stale and says what could not be read."""
    try:
        return list(steps())
    except UserError as error:
        return [Step(name, STALE, str(error))]


def print_steps(steps: list[Step]) -> None:
    """One row a step, to stdout."""
    console = results_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in steps:
        table.add_row(
            Text(step.name, "bold"), Text(step.state, STYLES[step.state]), Text(step.about)
        )
    console.print(table)
