"""Bootstrap intervals, resampled by group of near-duplicates."""

from collections.abc import Iterator

import numpy as np

RESAMPLES = 200

LEVEL = 0.95

BLOCK = 2**22
"""Weights held at once: 32 MiB."""


def resampling_blocks(group: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn in each bootstrap sample of whole groups: float64 (r, N).

    The RESAMPLES samples come in blocks, as many at once as memory is cheap for.
    """
    _, member = np.unique(group, return_inverse=True)
    count = member.max() + 1
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK // len(group))
    for start in range(0, RESAMPLES, size):
        samples = min(size, RESAMPLES - start)
        drawn = rng.integers(count, size=(samples, count))
        times = np.stack([np.bincount(groups, minlength=count) for groups in drawn])
        yield times[:, member].astype(float)


def resampling_weights(group: np.ndarray, seed: int) -> np.ndarray:
    """All blocks at once: float64 (RESAMPLES, N)."""
    return np.concatenate(list(resampling_blocks(group, seed)))


def interval(values: np.ndarray) -> list[float]:
    """Percentile interval at LEVEL; resamples in which the figure is undefined are left out."""
    tail = (1 - LEVEL) / 2
    return [float(v) for v in np.nanquantile(values, [tail, 1 - tail])]
