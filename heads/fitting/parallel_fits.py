"""Many small fits at once: a thread for each core, each fit on one thread."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Job = TypeVar("Job")

Done = TypeVar("Done")


def in_threads(work: Callable[[Job], Done], jobs: Sequence[Job]) -> list[Done]:
    """`work` of each job, in the jobs' order.

    The libraries' own threads, which get in each other's way on so few columns, are kept to one.
    OpenMP keeps its number of threads for each thread, so each is told.
    """
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count(), "fit", _alone) as pool:
        return list(pool.map(work, jobs))


def _alone() -> None:
    threadpool_limits(1)
