"""Bootstrap confidence intervals, resampling whole groups of near-duplicates."""

from collections.abc import Callable, Iterator

import numpy as np

RESAMPLES = 200

CONFIDENCE_LEVEL = 0.95

BLOCK_SIZE = 2**16
"""Maximum of weights in memory at a time: 512 KiB, which stay in a core's cache."""


def bootstrap_weight_blocks(group: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each row is drawn in each bootstrap sample of groups: float64 (r, N).

    The RESAMPLES samples are split into blocks of at most BLOCK_SIZE weights.
    """
    _, group_index = np.unique(group, return_inverse=True)
    count = group_index.max() + 1
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK_SIZE // len(group))
    for start in range(0, RESAMPLES, size):
        samples = min(size, RESAMPLES - start)
        drawn = rng.integers(count, size=(samples, count))
        times = np.stack([np.bincount(groups, minlength=count) for groups in drawn])
        yield times.astype(float)[:, group_index]


def resampled(
    metric: Callable[[np.ndarray], np.ndarray], group: np.ndarray, seed: int
) -> np.ndarray:
    """Compute f(weights (r, N)) -> (r, ...) on each bootstrap sample: (RESAMPLES, ...).

    Only a block of weights is in memory at a time.
    """
    return np.concatenate([metric(weights) for weights in bootstrap_weight_blocks(group, seed)])


def percentile_interval(values: np.ndarray) -> list[float]:
    """Percentile interval at CONFIDENCE_LEVEL of a metric's resampled values, ignoring NaN."""
    tail = (1 - CONFIDENCE_LEVEL) / 2
    return [float(v) for v in np.nanquantile(values, [tail, 1 - tail])]
