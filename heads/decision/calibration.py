"""Calibration of probabilities: none, temperature or sigmoid, selected by out-of-fold log loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from heads.evaluation.out_of_fold import out_of_fold_values, select_by_log_loss, to_logit


@dataclass(frozen=True)
class Calibration:
    """p -> expit(slope * logit(p) + intercept)."""

    kind: str
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Calibrate probabilities: float64 (N,). NaN stays NaN."""
        if self.kind == "none":
            return probability
        return expit(self.slope * to_logit(probability) + self.intercept)

    def followed_by(self, other: "Calibration") -> "Calibration":
        """Return one calibration that applies this one and then `other`."""
        kind = max(self.kind, other.kind, key=list(CALIBRATIONS).index)
        intercept = other.slope * self.intercept + other.intercept
        return Calibration(kind, other.slope * self.slope, intercept)


def _none(probability: np.ndarray, y: np.ndarray) -> Calibration:
    return Calibration("none")


def _temperature(probability: np.ndarray, y: np.ndarray) -> Calibration:
    """Scale logits by one factor (Guo et al. 2017, On Calibration of Modern Neural Networks)."""
    return _fit_logistic("temperature", probability, y)


def _sigmoid(probability: np.ndarray, y: np.ndarray) -> Calibration:
    """Scale and shift logits (Platt 1999)."""
    return _fit_logistic("sigmoid", probability, y)


def _fit_logistic(kind: str, probability: np.ndarray, y: np.ndarray) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, fit_intercept=kind == "sigmoid", max_iter=1000)
    model.fit(to_logit(probability)[:, None], y)
    slope = float(model.coef_[0, 0])
    # Calibration must not reverse ranks: a head worse than chance has to remain visible as such.
    if slope <= 0:
        return Calibration("none")
    return Calibration(kind, slope, float(np.atleast_1d(model.intercept_)[0]))


CALIBRATIONS: dict[str, Callable[[np.ndarray, np.ndarray], Calibration]] = {
    "none": _none,
    "temperature": _temperature,
    "sigmoid": _sigmoid,
}
"""name -> f(probability (N,), y (N,)) -> Calibration."""


def calibrate(
    probability: np.ndarray,
    y: np.ndarray,
    part: np.ndarray,
    kinds: tuple[str, ...] | None = None,
) -> tuple[Calibration, np.ndarray]:
    """Select and fit a calibration on held-out probabilities (N,), NaN where there are none.

    `kinds` are the names of those to try: by default all. Returns the calibration, and out-of-fold
    calibrated probabilities: each part's calibration is selected and fitted on the other parts.
    """
    known = ~np.isnan(probability)
    kinds, candidates = kinds or tuple(CALIBRATIONS), []
    for kind in kinds:

        def fit_apply(others: np.ndarray, in_part: np.ndarray, kind: str = kind) -> np.ndarray:
            return CALIBRATIONS[kind](probability[others], y[others]).apply(probability[in_part])

        candidates.append(out_of_fold_values(part, known, fit_apply))
    best, out_of_fold = select_by_log_loss(candidates, y, part)
    return CALIBRATIONS[kinds[best]](probability[known], y[known]), out_of_fold
