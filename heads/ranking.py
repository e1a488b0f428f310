"""AUROC and average precision of many weightings of the same rows at once.

Equal to scikit-learn's `roc_auc_score` and `average_precision_score` with `sample_weight`, which
sort the rows anew for every resample of a bootstrap; here they are sorted once.
"""

from collections.abc import Callable

import numpy as np

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
