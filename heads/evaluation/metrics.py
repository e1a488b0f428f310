"""Metrics: AUROC, average precision, accuracy, F1, balanced accuracy, log loss.

All take weights of rows, so that thousands of bootstrap resamples cost one call: rows are sorted
once, and decisions are counted once. AUROC and average precision equal scikit-learn's
`roc_auc_score` and `average_precision_score` with `sample_weight`.
"""

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


CLIP = 1e-6


def losses(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log loss of each row, (N,); probabilities may be 0 or 1."""
    return -np.log(np.clip(np.where(y == 1, probability, 1 - probability), CLIP, 1))


def loss(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean log loss of probabilities (N,)."""
    return float(losses(y, probability).mean())


Figure = Callable[[np.ndarray], np.ndarray]
"""A figure of some rows under each row of `weights` (R, N): (R,)."""


def auroc(y: np.ndarray, score: np.ndarray) -> Figure:
    """Of labels and scores (N,); NaN with one class."""
    weigh = _by_score(y, score)

    def figure(weights: np.ndarray) -> np.ndarray:
        positive, negative = weigh(weights)
        below = negative[:, ::-1].cumsum(axis=1)[:, ::-1] - negative / 2
        with np.errstate(invalid="ignore"):
            return (positive * below).sum(axis=1) / positive.sum(axis=1) / negative.sum(axis=1)

    return figure


def average_precision(y: np.ndarray, score: np.ndarray) -> Figure:
    """As `auroc`; NaN without positives."""
    weigh = _by_score(y, score)

    def figure(weights: np.ndarray) -> np.ndarray:
        positive, negative = weigh(weights)
        hits, misses = positive.cumsum(axis=1), negative.cumsum(axis=1)
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(hits / (hits + misses))
            return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    return figure


def _by_score(
    y: np.ndarray, score: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Weight of positives and of negatives at each distinct score, highest first: (R, scores)."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive = y[order] == 1

    def weigh(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ordered = weights[:, order]
        return (
            np.add.reduceat(ordered * positive, starts, axis=1),
            np.add.reduceat(ordered * ~positive, starts, axis=1),
        )

    return weigh
