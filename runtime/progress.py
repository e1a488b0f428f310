"""Log messages and progress of long work, on stderr: a bar on a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from runtime.processes import first

PLAIN_INTERVAL = 10.0
"""Seconds between two plain lines."""


_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)
"""Where messages go instead of stderr."""


def log(message: str) -> None:
    """Print one line to stderr; under torchrun, only rank 0 does."""
    if (messages := _collected.get()) is not None:
        messages.append(message)
    elif first():
        print(message, file=sys.stderr, flush=True)


@contextmanager
def collect_messages() -> Iterator[list[str]]:
    """Yield a list that gets what is logged inside this context; show no progress there.

    For one of many tasks, whose messages are shown later with the name of the task.
    """
    token = _collected.set([])
    try:
        yield _collected.get()
    finally:
        _collected.reset(token)


@contextmanager
def progress(task: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Yield `advance(count)`; show count, rate in `unit` per second, and the time left."""
    if _collected.get() is not None:
        yield lambda count: None
        return
    console = Console(stderr=True)
    display = _bar(task, total, unit, console) if console.is_terminal else _lines(task, total, unit)
    with display as advance:
        yield advance


@contextmanager
def _bar(task: str, total: int, unit: str, console: Console) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task(task, total=total, rate="")
        rate = _Rate(unit)

        def advance(count: int) -> None:
            rate.add(count)
            bar.update(row, advance=count, rate=rate.text())

        yield advance


@contextmanager
def _lines(task: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    rate = _Rate(unit)
    last = time.perf_counter()

    def advance(count: int) -> None:
        nonlocal last
        rate.add(count)
        now = time.perf_counter()
        if now - last >= PLAIN_INTERVAL and rate.done < total:
            last = now
            left = (total - rate.done) / rate.per_second()
            log(f"{task}: {rate.done}/{total}, {rate.text()}, {left:.0f} s left")

    yield advance


class _Rate:
    """Units done, and units per second since creation."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.done = 0
        self.start = time.perf_counter()

    def add(self, count: int) -> None:
        self.done += count

    def per_second(self) -> float:
        return self.done / max(time.perf_counter() - self.start, 1e-9)

    def text(self) -> str:
        rate = self.per_second()
        return f"{rate:.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"
