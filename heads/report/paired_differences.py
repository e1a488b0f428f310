"""Is the ensemble better than X, or was it luck? Paired differences, resampled by group."""

from dataclasses import dataclass

import numpy as np

from heads.evaluation.bootstrap import interval
from heads.evaluation.metrics import auroc
from heads.report.finished_run import ENSEMBLE, Contender, FinishedRun


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
    # The rows as they are, then every resample.
    weights = np.vstack([np.ones(len(y)), resamples])
    gaps = auroc(y, one)(weights) - auroc(y, other)(weights)
    return Difference(float(gaps[0]), interval(gaps[1:]))


def against(run: FinishedRun, other: Contender, rows: str = "held_out") -> Difference | None:
    """The ensemble less another contender on `held_out` or `test` rows."""
    ensemble = run.contenders[ENSEMBLE]
    places, said = (run.held_out, "held_out") if rows == "held_out" else (run.test, "final")
    if not len(places):
        return None
    own, others = getattr(ensemble, said)[places], getattr(other, said)[places]
    return difference(run.table.rows.label[places], own, others, run.resamples(places))
