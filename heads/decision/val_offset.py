"""A contest's val and test splits may be drawn otherwise than train: one offset on the logits.

Hateful Memes has 36 % positives in train and half in dev and test. What all rows calibrate is right
for train; if val rows say beyond doubt that it is off for them, it is moved for val and test rows.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from features.feature_table import Rows
from heads.evaluation.out_of_fold import by_part, to_logit

SURE = 1.96
"""Standard errors that the mean residual must be away from 0: two-sided test at 5 %."""

LARGEST = 30.0
"""More than twice the largest logit, so that the offset sought always lies within."""


def add_offset(probability: np.ndarray, offset: float) -> np.ndarray:
    """Move probabilities (N,) on the logit scale; NaN stays NaN."""
    return probability if offset == 0 else expit(to_logit(probability) + offset)


def fit_offset(probability: np.ndarray, y: np.ndarray, group: np.ndarray) -> float:
    """The offset of greatest likelihood on rows (N,), or 0 if none is called for beyond doubt.

    The doubt is a score test whose variance is that of sums over groups: near-duplicates share
    their label more often than not, and must not count as so many witnesses.
    """
    share = y.mean() if len(y) else 0.0
    if not 0 < share < 1:
        return 0.0
    _, witness = np.unique(group, return_inverse=True)
    residual = np.bincount(witness, weights=y - probability)
    if abs(residual.sum()) <= SURE * np.sqrt((residual**2).sum()):
        return 0.0
    logits = to_logit(probability)
    return float(brentq(lambda offset: expit(logits + offset).mean() - share, -LARGEST, LARGEST))


def offset_for_val(held_out: np.ndarray, rows: Rows, part: np.ndarray) -> tuple[float, np.ndarray]:
    """The offset that val rows call for, and held-out probabilities with val rows moved.

    `held_out` float (N,), NaN where nothing is; `part` int (N,) as of `cut_parts`. A val row moves
    by the offset that the val rows of the other parts call for; train rows stay.
    """
    known = (rows.split == "val") & ~np.isnan(held_out)

    def called_for(places: np.ndarray) -> float:
        return fit_offset(held_out[places], rows.label[places], rows.group[places])

    def moved(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        return add_offset(held_out[own], called_for(others))

    honest = np.where(known, by_part(part, known, moved), held_out)
    return called_for(known), honest
