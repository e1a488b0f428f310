"""Logit offset for contests whose val and test rows are distributed differently from train.

Hateful Memes has 36 % positives in train, but 50 % in dev and test. Calibration on all rows is
right for train. If it is significantly wrong for val rows, an offset is added to the logits of val
and test rows.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from features.feature_table import Rows
from heads.evaluation.out_of_fold import out_of_fold_values, to_logit

CRITICAL_VALUE = 1.96
"""Of a two-sided test at 5 %: the mean residual's minimum distance from 0 in standard errors."""

MAX_OFFSET = 30.0
"""More than twice the largest possible logit, so that the offset always lies within this bound."""


def add_offset(probability: np.ndarray, offset: float) -> np.ndarray:
    """Add `offset` to the logits of probabilities (N,). NaN stays NaN."""
    return probability if offset == 0 else expit(to_logit(probability) + offset)


def fit_offset(probability: np.ndarray, y: np.ndarray, group: np.ndarray) -> float:
    """Return the maximum-likelihood offset on rows (N,), or 0 if it is not significant.

    A score test with cluster-robust variance: residuals are summed over groups, because
    near-duplicates usually share their label and are not independent observations.
    """
    share = y.mean() if len(y) else 0.0
    if not 0 < share < 1:
        return 0.0
    _, group_index = np.unique(group, return_inverse=True)
    residual = np.bincount(group_index, weights=y - probability)
    if abs(residual.sum()) <= CRITICAL_VALUE * np.sqrt((residual**2).sum()):
        return 0.0
    logits = to_logit(probability)
    return float(
        brentq(lambda offset: expit(logits + offset).mean() - share, -MAX_OFFSET, MAX_OFFSET)
    )


def fit_val_offset(held_out: np.ndarray, rows: Rows, part: np.ndarray) -> tuple[float, np.ndarray]:
    """Fit the offset on val rows; return it, and the adjusted held-out probabilities (N,).

    `held_out` float (N,) is NaN where there is no probability; `part` int (N,) is as from
    `assign_parts`. In the adjusted probabilities, the offset of each val row is fitted on the val
    rows of the other parts. Train rows are unchanged.
    """
    known = (rows.split == "val") & ~np.isnan(held_out)

    def fit(selected: np.ndarray) -> float:
        return fit_offset(held_out[selected], rows.label[selected], rows.group[selected])

    def fit_apply(others: np.ndarray, in_part: np.ndarray) -> np.ndarray:
        return add_offset(held_out[in_part], fit(others))

    adjusted = np.where(known, out_of_fold_values(part, known, fit_apply), held_out)
    return fit(known), adjusted
