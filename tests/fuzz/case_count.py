"""Numbers of fuzz cases of each kind. FUZZ=10 in the environment multiplies them by ten."""

import os
from collections.abc import Iterator

import numpy as np
from hypothesis import HealthCheck, settings

FUZZ = int(os.environ.get("FUZZ", "1"))
CASES = {
    "mutated csv": 1200,
    "mutated jsonl": 600,
    "mutated json": 400,
    "mutated parquet": 12,
    "mutated submission": 400,
    "random bytes": 800,
    "written csv": 400,
    "written jsonl": 400,
    "odd json": 600,
    "odd paths": 400,
    "published forms": 120,
    "truncated pictures": 1200,
    "mutated pictures": 1600,
}


def cases(kind: str) -> Iterator[tuple[int, np.random.Generator]]:
    """Yield the number and a seeded random generator of each case."""
    for number in range(CASES[kind] * FUZZ):
        yield number, np.random.default_rng([number, *kind.encode()])


def examples(kind: str) -> settings:
    """Return Hypothesis settings: the same examples every time, no deadline, no database."""
    return settings(
        max_examples=CASES[kind] * FUZZ,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
