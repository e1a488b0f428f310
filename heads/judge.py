"""The threshold and the figures of one set of probabilities, each on the rows it may come from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.table import FeatureTable, Rows
from heads.crossfit import grouped_folds
from heads.metrics import score
from heads.threshold import DEFAULT, Threshold, tune_threshold


@dataclass(frozen=True)
class Verdict:
    """What is known of a head or an ensemble."""

    threshold: Threshold
    """Tuned on every row that has a held-out probability; used on test rows."""
    row_threshold: np.ndarray
    """float64 (N,): threshold tuned without the row's own fold, NaN where nothing is held out."""
    scores: dict[str, Any]
    """`held_out` and `test` (None if no test labels are known), as `metrics.score` returns them."""


def reported_rows(table: FeatureTable) -> np.ndarray:
    """bool (N,): labelled rows that neither fitted any backbones nor chose their epoch."""
    touched = np.any([space.seen | space.monitored for space in table.spaces], axis=0)
    return table.rows.labelled & ~touched


def judge(
    rows: Rows,
    reported: np.ndarray,
    held_out: np.ndarray,
    final: np.ndarray,
    metric: str,
    seed: int,
    default: float = DEFAULT,
) -> Verdict:
    """Tune the threshold and score; `default` is the threshold that a gain must beat.

    `held_out` (N,) is NaN where a head or its backbones saw the row, `final` (N,) is what test rows
    are scored with. A held-out row's decision uses a threshold that was tuned without its fold.
    """
    tuned_on = np.flatnonzero(~np.isnan(held_out))
    row_threshold = np.full(len(rows), np.nan)
    for others, own in grouped_folds(rows, tuned_on, seed):
        threshold = _tune(rows, others, held_out, metric, seed, default)
        row_threshold[own] = threshold.value
    threshold = _tune(rows, tuned_on, held_out, metric, seed, default)
    scores = {
        "held_out": _scores(rows, np.flatnonzero(reported), held_out, row_threshold, seed, default),
        "test": _scores(
            rows,
            np.flatnonzero((rows.split == "test") & (rows.label >= 0)),
            final,
            np.full(len(rows), threshold.value),
            seed,
            default,
        ),
    }
    return Verdict(threshold, row_threshold, scores)


def _tune(
    rows: Rows,
    places: np.ndarray,
    probability: np.ndarray,
    metric: str,
    seed: int,
    default: float,
) -> Threshold:
    label, group = rows.label[places], rows.group[places]
    return tune_threshold(label, probability[places], group, metric, seed, default)


def _scores(
    rows: Rows,
    places: np.ndarray,
    probability: np.ndarray,
    threshold: np.ndarray,
    seed: int,
    default: float,
) -> dict[str, Any] | None:
    if not len(places):
        return None
    label, group, own = rows.label[places], rows.group[places], probability[places]
    return score(label, own, own > default, own > threshold[places], group, seed)
