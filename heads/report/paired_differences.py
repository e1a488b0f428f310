"""Paired differences in AUROC between the ensemble and a head, with bootstrap intervals."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.bootstrap import percentile_interval, resampled
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
    y: np.ndarray, one: np.ndarray, other: np.ndarray, group: np.ndarray, seed: int
) -> Difference | None:
    """Difference in AUROC of two probability arrays (N,); None if all rows are of one class.

    Its interval is the percentile interval of bootstrap samples of groups, (N,).
    """
    if len(np.unique(y)) < 2:
        return None
    ours, theirs = auroc(y, one), auroc(y, other)

    def difference(weights: np.ndarray) -> np.ndarray:
        return ours(weights) - theirs(weights)

    value = float(difference(np.ones((1, len(y))))[0])
    return Difference(value, percentile_interval(resampled(difference, group, seed)))


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
    y, group = run.table.rows.label[indices], run.table.rows.group[indices]
    return paired_difference(y, ours[indices], theirs[indices], group, run.seed)
