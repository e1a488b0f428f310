"""Run many small fits in parallel: one thread per core, and one library thread per fit."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")

Result = TypeVar("Result")


def map_in_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Apply `function` to each task; return the results in the order of the tasks.

    The libraries' own threads are limited to one, as more would compete with each other on so few
    columns. OpenMP has a separate limit in each thread, so each thread sets it. The search for the
    libraries takes milliseconds, so they share one.
    """
    libraries = ThreadpoolController()

    def limit() -> None:
        libraries.limit(limits=1)

    with libraries.limit(limits=1), ThreadPoolExecutor(os.cpu_count(), "fit", limit) as pool:
        return list(pool.map(function, tasks))
