"""Is the ensemble better than X, or was it luck? Paired differences, resampled by group."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from heads.metrics import interval
from heads.report.finished import ENSEMBLE, Contender, FinishedRun


@dataclass(frozen=True)
class Difference:
    """AUROC of one less AUROC of another, on the same rows."""

    value: float
    interval: list[float]

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies above or below 0; 0 if the difference may be noise."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def difference(
    y: np.ndarray, one: np.ndarray, other: np.ndarray, resamples: np.ndarray
) -> Difference | None:
    """Paired difference in AUROC of two probabilities (N,); None if the rows are of one class."""
    if len(np.unique(y)) < 2:
        return None
    value = float(roc_auc_score(y, one) - roc_auc_score(y, other))
    gaps = resampled_auroc(y, one, resamples) - resampled_auroc(y, other, resamples)
    return Difference(value, interval(gaps))


def against(run: FinishedRun, other: Contender, rows: str = "held_out") -> Difference | None:
    """The ensemble less another contender on `held_out` or `test` rows."""
    ensemble = run.contenders[ENSEMBLE]
    places, said = (run.held_out, "held_out") if rows == "held_out" else (run.test, "final")
    if not len(places):
        return None
    own, others = getattr(ensemble, said)[places], getattr(other, said)[places]
    return difference(run.table.rows.label[places], own, others, run.resamples(places))


def resampled_auroc(y: np.ndarray, probability: np.ndarray, resamples: np.ndarray) -> np.ndarray:
    """AUROC float64 (R,) under weights (R, N); NaN where a resample holds one class only.

    One sort for all resamples: hundreds of pairs of heads are compared in seconds.
    """
    order = np.argsort(probability, kind="stable")
    first = np.flatnonzero(np.diff(probability[order], prepend=np.nan) != 0)
    positive = np.add.reduceat((resamples * y)[:, order], first, axis=1)
    negative = np.add.reduceat((resamples * (1 - y))[:, order], first, axis=1)
    # A positive beats the negatives below it, and ties with those that score the same.
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
