"""Which process this is, of those that torchrun started, and how its threads wait."""

import os

SPIN_COUNT = "1000"
"""Rounds for which a waiting OpenMP thread spins before it sleeps. If other programs need cores,
threads that spin for longer take a core from the thread they wait for."""


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """Number of this process on its machine, which is also that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def first() -> bool:
    """Whether this is the process that writes, and speaks for all."""
    return rank() == 0


def limit_spinning() -> None:
    """Let OpenMP threads that wait spin only briefly, unless the user has chosen otherwise.

    Call it before torch is loaded: libgomp reads the variable once. docs/performance.md has the
    measurements.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
