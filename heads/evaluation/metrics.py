"""Metrics: AUROC, average precision, accuracy, F1, balanced accuracy, log loss.

All take row weights, so that one call scores all bootstrap resamples: rows are sorted and decisions
counted only once. AUROC and average precision equal scikit-learn's `roc_auc_score` and
`average_precision_score` with `sample_weight`.
"""

from collections.abc import Callable

import numpy as np

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""True positives, false positives, false negatives, true negatives; arrays of the same shape."""


def _accuracy(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    return (tp + tn) / (tp + fp + fn + tn)


def _f1(counts: Counts) -> np.ndarray:
    tp, fp, fn, _ = counts
    return _fraction(2 * tp, fp + fn)


def _balanced_accuracy(counts: Counts) -> np.ndarray:
    tp, fp, fn, tn = counts
    return (_fraction(tp, fn) + _fraction(tn, fp)) / 2


def _fraction(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return right / (right + wrong), or 0 if both are 0."""
    return right / np.where(right + wrong > 0, right + wrong, 1)


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "balanced_accuracy": _balanced_accuracy,
}
"""Metrics of binary decisions, as functions of the confusion counts."""


def confusion_counts(y: np.ndarray, decision: np.ndarray, weights: np.ndarray) -> Counts:
    """Count labels (N,) and decisions (N,), bool, with each row of weights (R, N): (R,) each."""
    positive = y.astype(float)
    tp, fp = weights @ (positive * decision), weights @ ((1 - positive) * decision)
    return tp, fp, weights @ positive - tp, weights @ (1 - positive) - fp


def confusion_counts_above(
    y: np.ndarray, probability: np.ndarray, thresholds: np.ndarray
) -> Callable[[np.ndarray], Counts]:
    """Return f(weights (R, N)) -> confusion counts at each of `thresholds` (T,): (R, T) each.

    A row is predicted positive if its probability exceeds the threshold. Labels and probabilities
    are (N,). Rows are sorted once for all weights, and one cumulative sum serves all thresholds.
    """
    order = np.argsort(probability, kind="stable")
    below = np.searchsorted(probability[order], thresholds, side="right")
    positive = np.r_[0.0, y[order]]

    def count(weights: np.ndarray) -> Counts:
        ordered = np.pad(weights[:, order], [(0, 0), (1, 0)])
        cumulative = [(ordered * one).cumsum(axis=1) for one in (positive, 1 - positive)]
        fn, tn = (sums[:, below] for sums in cumulative)
        tp, fp = (sums[:, -1:] - left for sums, left in zip(cumulative, (fn, tn), strict=True))
        return tp, fp, fn, tn

    return count


CLIP = 1e-6
"""Probabilities are clipped to [CLIP, 1 - CLIP] where a logarithm is taken."""


def row_log_losses(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log loss of each row: (N,). Probabilities may be 0 or 1."""
    return -np.log(np.clip(np.where(y == 1, probability, 1 - probability), CLIP, 1))


def mean_log_loss(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean log loss of probabilities (N,)."""
    return float(row_log_losses(y, probability).mean())


WeightedMetric = Callable[[np.ndarray], np.ndarray]
"""f(weights (R, N)) -> value of a metric with each row of weights: (R,)."""


def auroc(y: np.ndarray, score: np.ndarray) -> WeightedMetric:
    """AUROC of labels and scores (N,); NaN if only one class has weight."""
    sum_weights = _weights_by_score(y, score)

    def compute(weights: np.ndarray) -> np.ndarray:
        positive, negative = sum_weights(weights)
        below = negative[:, ::-1].cumsum(axis=1)[:, ::-1] - negative / 2
        with np.errstate(invalid="ignore"):
            return (positive * below).sum(axis=1) / positive.sum(axis=1) / negative.sum(axis=1)

    return compute


def average_precision(y: np.ndarray, score: np.ndarray) -> WeightedMetric:
    """Average precision of labels and scores (N,); NaN if no positive has weight."""
    sum_weights = _weights_by_score(y, score)

    def compute(weights: np.ndarray) -> np.ndarray:
        positive, negative = sum_weights(weights)
        hits, misses = positive.cumsum(axis=1), negative.cumsum(axis=1)
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(hits / (hits + misses))
            return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    return compute


def _weights_by_score(
    y: np.ndarray, score: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return f(weights (R, N)) -> weights of positives and of negatives at each distinct score.

    Both are (R, scores), with the highest score first.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive = y[order] == 1

    def sum_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ordered = weights[:, order]
        return (
            np.add.reduceat(ordered * positive, starts, axis=1),
            np.add.reduceat(ordered * ~positive, starts, axis=1),
        )

    return sum_weights
