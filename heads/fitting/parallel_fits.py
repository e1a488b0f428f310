"""Run many small fits in parallel: one thread per core, and one library thread per fit."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Task = TypeVar("Task")

Result = TypeVar("Result")


def map_in_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Apply `function` to each task; return the results in the order of the tasks.

    The libraries' own threads are limited to one, as more would compete with each other on so few
    columns. OpenMP has a separate limit in each thread, so each thread sets it.
    """
    pool = ThreadPoolExecutor(os.cpu_count(), "fit", _limit_library_threads)
    with threadpool_limits(1), pool:
        return list(pool.map(function, tasks))


def _limit_library_threads() -> None:
    threadpool_limits(1)
