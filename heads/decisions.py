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
    """Confusion counts: labels (N,) and decisions (N,), bool, under weights (R, N) -> (R,)."""
    positive = y.astype(float)
    tp, fp = weights @ (positive * decision), weights @ ((1 - positive) * decision)
    return tp, fp, weights @ positive - tp, weights @ (1 - positive) - fp


def count_above(
    y: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> Callable[[np.ndarray], Counts]:
    """Counts of deciding for what exceeds each of `thresholds` (T,): of weights (R, N), (R, T).

    Labels and probabilities are (N,), and sorted once for all weights; one cumulative sum serves
    all thresholds.
    """
    order = np.argsort(probability, kind="stable")
    below = np.searchsorted(probability[order], thresholds, side="right")
    positive = np.r_[0.0, y[order]]

    def count(weights: np.ndarray) -> Counts:
        ordered = np.pad(weights[:, order], [(0, 0), (1, 0)])
        passed = [(ordered * of_class).cumsum(axis=1) for of_class in (positive, 1 - positive)]
        fn, tn = (sums[:, below] for sums in passed)
        tp, fp = (sums[:, -1:] - left for sums, left in zip(passed, (fn, tn), strict=True))
        return tp, fp, fn, tn

    return count
