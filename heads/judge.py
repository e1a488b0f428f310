"""The threshold and the figures of one set of probabilities, each on the rows it may come from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from features.table import Rows
from heads.metrics import score
from heads.nested import by_part
from heads.threshold import Threshold, tune_threshold


@dataclass(frozen=True)
class Verdict:
    """What is known of a head or an ensemble."""

    threshold: Threshold
    """Tuned on every row that has a held-out probability; used on test rows."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's own part, NaN where nothing is held out."""
    scores: dict[str, Any]
    """`held_out` and `test` (None if no test labels are known), as `metrics.score` returns them,
    and `fold_auroc`, the held-out AUROC of each fold."""


@dataclass(frozen=True)
class Bench:
    """What all probabilities of a run are judged on."""

    rows: Rows
    part: np.ndarray
    """int (N,): see `cut_parts`."""
    metric: str
    """Name of the metric that thresholds are tuned for."""
    seed: int


def judge(
    bench: Bench, held_out: np.ndarray, final: np.ndarray, weight: np.ndarray | None = None
) -> Verdict:
    """Tune the threshold and score.

    `held_out` (N,) is NaN but for rows to report on, `final` (N,) is what test rows are scored
    with. A held-out row's decision uses a threshold that was tuned without its part. `weight` (N,)
    says how much each held-out row counts, all alike by default.
    """
    rows = bench.rows
    weight = np.ones(len(rows)) if weight is None else weight
    known = ~np.isnan(held_out)

    def tune(places: np.ndarray) -> Threshold:
        here = (rows.label[places], held_out[places], rows.group[places])
        return tune_threshold(*here, bench.metric, bench.seed, weight[places])

    row_threshold = by_part(
        bench.part, known, lambda others, own: np.full(len(own), tune(others).value)
    )
    threshold = tune(np.flatnonzero(known))
    test = np.flatnonzero((rows.split == "test") & (rows.label >= 0))
    every = np.full(len(rows), threshold.value)
    scores = {
        "held_out": _scores(bench, np.flatnonzero(known), held_out, row_threshold, weight),
        "test": _scores(bench, test, final, every, np.ones(len(rows))),
        "fold_auroc": _fold_auroc(rows, held_out),
    }
    return Verdict(threshold, row_threshold, scores)


def _scores(
    bench: Bench,
    places: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    weight: np.ndarray,
) -> dict[str, Any] | None:
    if not len(places):
        return None
    rows = bench.rows
    return score(
        rows.label[places],
        probability[places],
        threshold[places],
        rows.group[places],
        bench.seed,
        weight[places],
    )


def _fold_auroc(rows: Rows, held_out: np.ndarray) -> list[float]:
    found = []
    for fold in np.unique(rows.fold[~np.isnan(held_out)]):
        own = (rows.fold == fold) & ~np.isnan(held_out)
        if len(np.unique(rows.label[own])) == 2:
            found.append(float(roc_auc_score(rows.label[own], held_out[own])))
    return found
