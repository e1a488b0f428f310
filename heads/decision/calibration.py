"""Probabilities that mean what they say: none, temperature or sigmoid, by out-of-fold log loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from heads.evaluation.out_of_fold import by_part, choose, to_logit


@dataclass(frozen=True)
class Calibration:
    """p -> expit(slope * logit(p) + intercept)."""

    kind: str
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """float64 (N,); NaN stays NaN."""
        if self.kind == "none":
            return probability
        return expit(self.slope * to_logit(probability) + self.intercept)

    def then(self, other: "Calibration") -> "Calibration":
        """Both in one step, `other` last."""
        kind = max(self.kind, other.kind, key=list(CALIBRATIONS).index)
        intercept = other.slope * self.intercept + other.intercept
        return Calibration(kind, other.slope * self.slope, intercept)


def _none(probability: np.ndarray, y: np.ndarray) -> Calibration:
    return Calibration("none")


def _temperature(probability: np.ndarray, y: np.ndarray) -> Calibration:
    """One factor on the logits (Guo et al. 2017, On Calibration of Modern Neural Networks)."""
    return _logistic("temperature", probability, y)


def _sigmoid(probability: np.ndarray, y: np.ndarray) -> Calibration:
    """Factor and offset on the logits (Platt 1999)."""
    return _logistic("sigmoid", probability, y)


def _logistic(kind: str, probability: np.ndarray, y: np.ndarray) -> Calibration:
    model = LogisticRegression(C=np.inf, fit_intercept=kind == "sigmoid", max_iter=1000)
    model.fit(to_logit(probability)[:, None], y)
    slope = float(model.coef_[0, 0])
    # Ranks are never turned around: what is worse than chance stays to be seen as such.
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
    kinds: tuple[str, ...] = tuple(CALIBRATIONS),
) -> tuple[Calibration, np.ndarray]:
    """Choose and fit a calibration on held-out probabilities (N,), NaN where there are none.

    Returns it, and the probabilities calibrated part by part, by what the other parts choose.
    """
    known = ~np.isnan(probability)
    candidates = []
    for kind in kinds:

        def of_part(others: np.ndarray, own: np.ndarray, kind: str = kind) -> np.ndarray:
            return CALIBRATIONS[kind](probability[others], y[others]).apply(probability[own])

        candidates.append(by_part(part, known, of_part))
    best, honest = choose(candidates, y, part)
    return CALIBRATIONS[kinds[best]](probability[known], y[known]), honest
