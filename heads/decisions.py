"""Metrics of decisions, computed from counts, so that thousands of resamples cost one call."""

from collections.abc import Callable

import numpy as np

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""True positives, false positives, false negatives, true negatives; arrays of any one shape."""


def _accuracy(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    return (tp + tn) / (tp + fp + fn + tn)


def _f1(counts: Counts) -> np.ndarray:
    tp, fp, fn, _ = counts
    return 2 * tp / np.maximum(2 * tp + fp + fn, 1)


def _balanced_accuracy(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    return (tp / np.maximum(tp + fn, 1) + tn / np.maximum(tn + fp, 1)) / 2


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "balanced_accuracy": _balanced_accuracy,
}
"""Metrics of decisions, as functions of counts: thousands of resamples are scored in one call."""


def count_decisions(y: np.ndarray, decision: np.ndarray, weights: np.ndarray) -> Counts:
    """Confusion counts: labels (N,), decisions (N,) or (N, T), weights (R, N) -> (R,) or (R, T)."""
    y = y.astype(float)
    column = y.reshape(-1, *[1] * (decision.ndim - 1))
    d = decision.astype(float)
    tp, fp = weights @ (column * d), weights @ ((1 - column) * d)
    shape = [len(weights), *[1] * (decision.ndim - 1)]
    return tp, fp, (weights @ y).reshape(shape) - tp, (weights @ (1 - y)).reshape(shape) - fp
