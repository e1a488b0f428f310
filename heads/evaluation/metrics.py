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

    A row is predicted positive if its probability exceeds the threshold. Labels, which may be
    expected ones in [0, 1], and probabilities are (N,). Rows are sorted once for all weights.
    """
    ascending = np.sort(thresholds)
    place = np.searchsorted(ascending, thresholds)
    # Rows between two thresholds count alike, so their weights are added up first.
    exceeded = np.searchsorted(ascending, probability)
    order = np.argsort(exceeded, kind="stable")
    occupied, starts = np.unique(exceeded[order], return_index=True)
    positive = y[order].astype(float)

    def up_to_each(weights: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(weights), len(thresholds) + 1))
        sums[:, occupied] = np.add.reduceat(weights, starts, axis=1)
        return sums.cumsum(axis=1)

    def count(weights: np.ndarray) -> Counts:
        ordered = weights[:, order]
        positives, negatives = up_to_each(ordered * positive), up_to_each(ordered * (1 - positive))
        fn, tn = positives[:, place], negatives[:, place]
        return positives[:, -1:] - fn, negatives[:, -1:] - tn, fn, tn

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
    positive, negative = _ranked(y == 1, score), _ranked(y != 1, score)
    above = np.searchsorted(-score[negative], -score[positive], side="left")
    not_below = np.searchsorted(-score[negative], -score[positive], side="right")

    def compute(weights: np.ndarray) -> np.ndarray:
        of_positive, of_negative = weights[:, positive], _leading_sums(weights[:, negative])
        # A negative with the same score counts half.
        below = of_negative[:, -1:] - (of_negative[:, above] + of_negative[:, not_below]) / 2
        pairs = of_positive.sum(axis=1) * of_negative[:, -1]
        with np.errstate(invalid="ignore"):
            return (of_positive * below).sum(axis=1) / pairs

    return compute


def average_precision(y: np.ndarray, score: np.ndarray) -> WeightedMetric:
    """Average precision of labels and scores (N,); NaN if no positive has weight."""
    positive, negative = _ranked(y == 1, score), _ranked(y != 1, score)
    hits, misses = (
        np.searchsorted(-score[ranked], -score[positive], side="right")
        for ranked in (positive, negative)
    )

    def compute(weights: np.ndarray) -> np.ndarray:
        of_positive = weights[:, positive]
        tp = _leading_sums(of_positive)[:, hits]
        fp = _leading_sums(weights[:, negative])[:, misses]
        with np.errstate(invalid="ignore"):
            precision = np.nan_to_num(tp / (tp + fp))
            return (of_positive * precision).sum(axis=1) / of_positive.sum(axis=1)

    return compute


def _ranked(rows: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the indices of the rows, bool (N,), with the highest score first."""
    indices = np.flatnonzero(rows)
    return indices[np.argsort(-score[indices], kind="stable")]


def _leading_sums(weights: np.ndarray) -> np.ndarray:
    """Return the sums of the first 0, 1, ... N of the weights (R, N): (R, N + 1)."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
