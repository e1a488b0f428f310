"""Logit offset for contests whose val and test rows are distributed differently from train.

Hateful Memes has 36 % positives in train, but 50 % in dev and test. Calibration on all rows is
right for train. The offset that fits val rows best is added to the logits of val and test rows. It
is shrunk towards 0 by its standard error, so that few val rows change little.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from features.feature_table import Rows
from heads.evaluation.out_of_fold import out_of_fold_values, to_logit

PRIOR_DEVIATION = 0.5
"""Standard deviation of offsets over contests that is assumed, in logits."""

MAX_OFFSET = 30.0
"""More than twice the largest possible logit, so that the offset always lies within this bound."""


def add_offset(probability: np.ndarray, offset: float) -> np.ndarray:
    """Add `offset` to the logits of probabilities (N,). NaN stays NaN."""
    return probability if offset == 0 else expit(to_logit(probability) + offset)


def fit_offset(probability: np.ndarray, y: np.ndarray, group: np.ndarray) -> float:
    """Return the maximum-likelihood offset on rows (N,), shrunk by its standard error.

    The posterior mean of a normal prior (Efron and Morris 1975, with a fixed prior variance). The
    standard error is cluster-robust: residuals are summed over groups, because near-duplicates
    usually share their label and are not independent observations. 0 for rows of one class or of
    one group.
    """
    share = y.mean() if len(y) else 0.0
    groups, group_index = np.unique(group, return_inverse=True)
    if not 0 < share < 1 or len(groups) < 2:
        return 0.0
    logits = to_logit(probability)
    offset = brentq(lambda value: expit(logits + value).mean() - share, -MAX_OFFSET, MAX_OFFSET)
    fitted = expit(logits + offset)
    residual = np.bincount(group_index, weights=y - fitted)
    variance = (residual**2).sum() * len(groups) / (len(groups) - 1)
    squared_error = variance / (fitted * (1 - fitted)).sum() ** 2
    return float(offset * PRIOR_DEVIATION**2 / (PRIOR_DEVIATION**2 + squared_error))


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
