"""A contest's val and test splits may be drawn otherwise than train: one offset on the logits.

Hateful Memes has 36 % positives in train and half in dev and test. What all rows calibrate is right
for train; if val rows say beyond doubt that it is off for them, it is moved for val and test rows.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from heads.losses import losses
from heads.nested import by_part, to_logit

SURE = 3.84
"""Twice the log likelihood that an offset must gain: 95 % quantile of chi-squared with one degree
of freedom (likelihood-ratio test)."""
LARGEST = 30.0
"""More than twice the largest logit, so that the offset sought always lies within."""


def add_offset(probability: np.ndarray, offset: float) -> np.ndarray:
    """Move probabilities (N,) on the logit scale; NaN stays NaN."""
    return probability if offset == 0 else expit(to_logit(probability) + offset)


def fit_offset(probability: np.ndarray, y: np.ndarray) -> float:
    """The offset of greatest likelihood on rows (N,), or 0 if none is called for beyond doubt."""
    share = y.mean() if len(y) else 0.0
    if not 0 < share < 1:
        return 0.0
    logits = to_logit(probability)
    best = brentq(lambda offset: expit(logits + offset).mean() - share, -LARGEST, LARGEST)
    gained = losses(y, probability).sum() - losses(y, add_offset(probability, best)).sum()
    return float(best) if 2 * gained > SURE else 0.0


def offset_for_val(
    held_out: np.ndarray, y: np.ndarray, part: np.ndarray, val: np.ndarray
) -> tuple[float, np.ndarray]:
    """The offset that val rows call for, and held-out probabilities with val rows moved.

    `held_out` float (N,), NaN where nothing is; `val` bool (N,). A val row is moved by the offset
    that the val rows of the other parts call for; train rows stay.
    """
    known = val & ~np.isnan(held_out)

    def moved(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        return add_offset(held_out[own], fit_offset(held_out[others], y[others]))

    honest = np.where(known, by_part(part, known, moved), held_out)
    return fit_offset(held_out[known], y[known]), honest
