"""The threshold and the figures of one set of probabilities, each on the rows it may come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable, Rows
from heads.decision.threshold import Threshold, tune_threshold
from heads.evaluation.out_of_fold import by_part, cut_parts
from heads.evaluation.scores import score
from heads.fitting.saved_heads import (
    read_parts,
    save_parts,
)


@dataclass(frozen=True)
class Evaluation:
    """What is known of a head or an ensemble."""

    threshold: Threshold
    """Tuned on every row that has a held-out probability; used on test rows."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's own part, NaN where nothing is held out."""
    scores: dict[str, Any]
    """`held_out` and `test` (None if no test labels are known), as `metrics.score` returns them,
    and `fold_auroc`, the held-out AUROC of each fold."""


@dataclass(frozen=True)
class Protocol:
    """What all probabilities of a run are judged on."""

    rows: Rows
    part: np.ndarray
    """int (N,): see `cut_parts`."""
    metric: str
    """Name of the metric that thresholds are tuned for."""
    seed: int


def evaluate(
    protocol: Protocol, held_out: np.ndarray, final: np.ndarray, weight: np.ndarray | None = None
) -> Evaluation:
    """Tune the threshold and score.

    `held_out` (N,) is NaN but for rows to report on, `final` (N,) is what test rows are scored
    with. A held-out row's decision uses a threshold that was tuned without its part. `weight` (N,)
    says how much each held-out row counts, all alike by default.
    """
    rows = protocol.rows
    weight = np.ones(len(rows)) if weight is None else weight
    known = ~np.isnan(held_out)

    def tune(places: np.ndarray) -> Threshold:
        here = (rows.label[places], held_out[places], rows.group[places])
        return tune_threshold(*here, protocol.metric, protocol.seed, weight[places])

    row_threshold = by_part(
        protocol.part, known, lambda others, own: np.full(len(own), tune(others).value)
    )
    threshold = tune(np.flatnonzero(known))
    test = np.flatnonzero((rows.split == "test") & (rows.label >= 0))
    every = np.full(len(rows), threshold.value)
    scores = {
        "held_out": _scores(protocol, np.flatnonzero(known), held_out, row_threshold, weight),
        "test": _scores(protocol, test, final, every, np.ones(len(rows))),
        "fold_auroc": _fold_auroc(rows, held_out),
    }
    return Evaluation(threshold, row_threshold, scores)


def _scores(
    protocol: Protocol,
    places: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    weight: np.ndarray,
) -> dict[str, Any] | None:
    if not len(places):
        return None
    rows = protocol.rows
    return score(
        rows.label[places],
        probability[places],
        threshold[places],
        rows.group[places],
        protocol.seed,
        weight[places],
    )


def _fold_auroc(rows: Rows, held_out: np.ndarray) -> list[float]:
    found = []
    for fold in np.unique(rows.fold[~np.isnan(held_out)]):
        own = (rows.fold == fold) & ~np.isnan(held_out)
        if len(np.unique(rows.label[own])) == 2:
            found.append(float(roc_auc_score(rows.label[own], held_out[own])))
    return found


def open_protocol(table: FeatureTable, metric: str, heads: Path) -> Protocol:
    """What every head and ensemble of a run is judged on; its parts are cut once, and kept."""
    stamp, seed = table.attributes["stamp"], table.attributes["config"]["seed"]
    part = read_parts(heads, stamp)
    if part is None:
        part = cut_parts(table.rows, seed)
        save_parts(heads, stamp, part)
    return Protocol(table.rows, part, metric, seed)
