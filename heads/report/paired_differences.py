"""Paired differences in AUROC between the ensemble and a head, with bootstrap intervals."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.bootstrap import percentile_interval
from heads.evaluation.metrics import auroc
from heads.report.finished_run import ENSEMBLE, EvaluatedModel, FinishedRun


@dataclass(frozen=True)
class Difference:
    """AUROC of one model minus AUROC of another on the same rows, with its 95 % interval."""

    value: float
    interval: list[float]

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies above or below 0; 0 if it contains 0 (not significant)."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def paired_difference(
    y: np.ndarray, one: np.ndarray, other: np.ndarray, resamples: np.ndarray
) -> Difference | None:
    """Difference in AUROC of two probability arrays (N,); None if all rows are of one class.

    `resamples` (R, N) are bootstrap weights; the interval is their percentile interval.
    """
    if len(np.unique(y)) < 2:
        return None
    # The first set of weights is the original sample.
    weights = np.vstack([np.ones(len(y)), resamples])
    differences = auroc(y, one)(weights) - auroc(y, other)(weights)
    return Difference(float(differences[0]), percentile_interval(differences[1:]))


def ensemble_gain(
    run: FinishedRun, other: EvaluatedModel, rows: str = "held_out"
) -> Difference | None:
    """AUROC of the ensemble minus AUROC of another model on `held_out` or `test` rows."""
    ensemble = run.models[ENSEMBLE]
    if rows == "held_out":
        indices, ours, theirs = run.held_out_rows, ensemble.held_out, other.held_out
    else:
        indices, ours, theirs = run.test_rows, ensemble.final, other.final
    if not len(indices):
        return None
    y, resamples = run.table.rows.label[indices], run.resamples(indices)
    return paired_difference(y, ours[indices], theirs[indices], resamples)
