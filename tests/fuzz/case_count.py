"""How many cases of each kind are tried. FUZZ=10 in the environment makes it ten times as many."""

import os
from collections.abc import Iterator

import numpy as np
from hypothesis import HealthCheck, settings

FUZZ = int(os.environ.get("FUZZ", "1"))
CASES = {
    "mutated csv": 2000,
    "mutated jsonl": 1400,
    "mutated submission": 400,
    "random bytes": 800,
    "written csv": 400,
    "written jsonl": 400,
    "odd json": 600,
    "odd paths": 400,
    "truncated pictures": 1200,
    "mutated pictures": 1600,
}


def cases(kind: str) -> Iterator[tuple[int, np.random.Generator]]:
    """The number and the random numbers of each case; the same ones every time."""
    for number in range(CASES[kind] * FUZZ):
        yield number, np.random.default_rng([number, *kind.encode()])


def examples(kind: str) -> settings:
    """Hypothesis: the same examples every time, however long they take, nothing left on disk."""
    return settings(
        max_examples=CASES[kind] * FUZZ,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
