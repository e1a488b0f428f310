"""Rank and world size under torchrun, how OpenMP threads wait, and when garbage is collected."""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

SPIN_COUNT = "1000"
"""Iterations for which a waiting OpenMP thread spins before it sleeps. If other programs need the
cores, a thread that spins longer takes a core from the thread it waits for."""


def rank() -> int:
    """Return the rank of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return the world size: the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Return the rank of this process on its machine, which is also its GPU's index."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def first() -> bool:
    """Return whether this is the main process (rank 0), the only one that writes and prints."""
    return rank() == 0


def limit_spinning() -> None:
    """Let waiting OpenMP threads spin only briefly, unless the user has set how they wait.

    Call it before torch is loaded, because libgomp reads the variable once. docs/performance.md has
    the measurements.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


@contextmanager
def pause_collection() -> Iterator[None]:
    """Import libraries and load models without garbage collection, a fifth of the time.

    What they created is exempt from later collections too: a resident service need not look through
    it again and again, and the process ends sooner.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def start_command() -> None:
    """Make the settings of every command: how threads wait, and a quick end."""
    limit_spinning()
    # Without it, the interpreter looks for garbage among all libraries as it ends: 0.3 s.
    atexit.register(gc.freeze)
