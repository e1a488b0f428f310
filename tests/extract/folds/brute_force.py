"""Connected components by comparing all pairs: a reference for the search."""

from itertools import pairwise

import numpy as np
from scipy.sparse.csgraph import connected_components


def components(near: np.ndarray) -> list[int]:
    """Return the component of each item, numbered by first appearance, of near pairs (N, N)."""
    return by_first_appearance(connected_components(near, directed=False)[1])


def by_first_appearance(component: np.ndarray) -> list[int]:
    """Number components in order of first appearance."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(value), len(numbers)) for value in component]


def distances(hashes: np.ndarray) -> np.ndarray:
    """Return the number of different bits of all pairs of hashes: uint8 (N, N)."""
    return np.bitwise_count(hashes[:, None] ^ hashes)


def overlaps(captions: list[str]) -> np.ndarray:
    """Return the Jaccard index of the word pairs of all pairs of captions: float64 (N, N)."""
    words = [caption.split() for caption in captions]
    sets = [set(pairwise(each)) for each in words]
    return np.array([[len(a & b) / max(1, len(a | b)) for b in sets] for a in sets])
