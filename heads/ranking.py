"""AUROC and average precision of many weightings of the same rows at once.

Equal to scikit-learn's `roc_auc_score` and `average_precision_score` with `sample_weight`, which
sort the rows anew for every resample of a bootstrap.
"""

import numpy as np


def auroc(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of labels and scores (N,) under each row of `weights` (R, N): (R,); NaN with one class."""
    positive, negative = _by_score(y, score, weights)
    below = negative[:, ::-1].cumsum(axis=1)[:, ::-1] - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(axis=1) / positive.sum(axis=1) / negative.sum(axis=1)


def average_precision(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """As `auroc`; NaN without positives."""
    positive, negative = _by_score(y, score, weights)
    hits, misses = positive.cumsum(axis=1), negative.cumsum(axis=1)
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(hits / (hits + misses))
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)


def _by_score(
    y: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at each distinct score, highest first: (R, scores)."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive = y[order] == 1
    ordered = weights[:, order]
    return (
        np.add.reduceat(ordered * positive, starts, axis=1),
        np.add.reduceat(ordered * ~positive, starts, axis=1),
    )
