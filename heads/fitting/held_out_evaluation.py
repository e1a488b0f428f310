"""Evaluation: tune the threshold of one set of probabilities; score held-out and test rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable, Rows
from heads.decision.threshold import Threshold, tune_threshold
from heads.evaluation.out_of_fold import assign_parts, count_parts
from heads.evaluation.score_summary import score_with_intervals
from heads.fitting.parallel_fits import map_in_threads
from heads.fitting.saved_heads import read_parts, save_parts


@dataclass(frozen=True)
class Evaluation:
    """Threshold and scores of a head or an ensemble."""

    threshold: Threshold
    """Tuned on all rows with a held-out probability; used on test rows."""
    row_threshold: np.ndarray
    """float64 (N,): tuned without the row's part, NaN for rows without a held-out probability."""
    scores: dict[str, Any]
    """`held_out` and `test` (None if no test labels are known), as `score_with_intervals` returns
    them, and `fold_auroc`: the held-out AUROC of each fold of the backbones."""


@dataclass(frozen=True)
class Protocol:
    """Settings of the evaluation, which are the same for all heads and ensembles of a run."""

    rows: Rows
    part: np.ndarray
    """int (N,): see `assign_parts`."""
    metric: str
    """Name of the metric that thresholds are tuned for."""
    seed: int


def evaluate(
    protocol: Protocol, held_out: np.ndarray, final: np.ndarray, weight: np.ndarray | None = None
) -> Evaluation:
    """Tune the threshold; score held-out rows and test rows.

    `held_out` (N,) is NaN except for rows to report on; `final` (N,) holds the probabilities of
    test rows. Each held-out row is decided with a threshold that was tuned without its part.
    `weight` (N,) holds the weights of held-out rows, 1 by default.
    """
    rows = protocol.rows
    weight = np.ones(len(rows)) if weight is None else weight
    known = ~np.isnan(held_out)

    def tune(indices: np.ndarray) -> Threshold:
        data = rows.label[indices], held_out[indices], rows.group[indices]
        return tune_threshold(*data, protocol.metric, protocol.seed, weight[indices])

    parts = range(count_parts(protocol.part))
    others = [np.flatnonzero(known & (protocol.part != number)) for number in parts]
    threshold, *without_part = map_in_threads(tune, [np.flatnonzero(known), *others])
    row_threshold = np.where(
        known, np.array([t.value for t in without_part])[protocol.part], np.nan
    )
    test = np.flatnonzero((rows.split == "test") & (rows.label >= 0))
    common_threshold = np.full(len(rows), threshold.value)
    scores = {
        "held_out": _scores(protocol, np.flatnonzero(known), held_out, row_threshold, weight),
        "test": _scores(protocol, test, final, common_threshold, np.ones(len(rows))),
        "fold_auroc": _fold_auroc(rows, held_out),
    }
    return Evaluation(threshold, row_threshold, scores)


def _scores(
    protocol: Protocol,
    indices: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    weight: np.ndarray,
) -> dict[str, Any] | None:
    if not len(indices):
        return None
    rows = protocol.rows
    return score_with_intervals(
        rows.label[indices],
        probability[indices],
        threshold[indices],
        rows.group[indices],
        protocol.seed,
        weight[indices],
    )


def _fold_auroc(rows: Rows, held_out: np.ndarray) -> list[float]:
    """Held-out AUROC of each fold of the backbones in which both classes occur."""
    aurocs = []
    for fold in np.unique(rows.fold[~np.isnan(held_out)]):
        in_fold = (rows.fold == fold) & ~np.isnan(held_out)
        if len(np.unique(rows.label[in_fold])) == 2:
            aurocs.append(float(roc_auc_score(rows.label[in_fold], held_out[in_fold])))
    return aurocs


def load_protocol(table: FeatureTable, metric: str, heads: Path) -> Protocol:
    """Return the run's protocol. Its parts are read from heads/parts.npz, or assigned and saved."""
    stamp, seed = table.attributes["stamp"], table.attributes["config"]["seed"]
    part = read_parts(heads, stamp)
    if part is None:
        part = assign_parts(table.rows, seed)
        save_parts(heads, stamp, part)
    return Protocol(table.rows, part, metric, seed)
