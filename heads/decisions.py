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
    return _share(2 * tp, fp + fn)


def _balanced_accuracy(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    return (_share(tp, fn) + _share(tn, fp)) / 2


def _share(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Of right and wrong the right; 0 of nothing. Weights can make counts smaller than 1."""
    return right / np.where(right + wrong > 0, right + wrong, 1)


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
