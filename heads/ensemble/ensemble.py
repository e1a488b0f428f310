"""Fit an ensemble: select weights, combine the members, calibrate, adjust to the contest."""

from dataclasses import dataclass, replace

import numpy as np

from heads.decision.calibration import Calibration, calibrate
from heads.decision.prior_shift import shift_prior
from heads.decision.val_offset import add_offset
from heads.ensemble.combining import ENSEMBLES, combine
from heads.evaluation.out_of_fold import out_of_fold_values, select_by_log_loss


@dataclass(frozen=True)
class MemberPredictions:
    """Probabilities and thresholds of the M members; see `Probabilities`."""

    held_out: np.ndarray
    """float64 (M, N): NaN for rows that are not reported on."""
    final: np.ndarray
    """float64 (M, N)."""
    row_thresholds: np.ndarray
    """float64 (M, N): tuned without the row's part."""
    thresholds: np.ndarray
    """float64 (M, 1)."""


@dataclass(frozen=True)
class FittedEnsemble:
    """A fitted ensemble of one kind."""

    kind: str
    weights: np.ndarray
    calibration: Calibration
    held_out: np.ndarray
    """float64 (N,): calibrated; each part's weights and calibration are fitted on other parts."""
    final: np.ndarray
    """float64 (N,): calibrated."""


def fit_ensembles(
    kinds: list[str], members: MemberPredictions, y: np.ndarray, part: np.ndarray
) -> tuple[FittedEnsemble, list[FittedEnsemble]]:
    """Fit an ensemble of each kind; return the one with the lowest held-out log loss, and all.

    In the returned best ensemble, the kind used for a part's held-out probabilities is selected on
    the other parts.
    """
    tried = [_fit(kind, members, y, part) for kind in kinds]
    best, out_of_fold = select_by_log_loss([one.held_out for one in tried], y, part)
    return replace(tried[best], held_out=out_of_fold), tried


def adjust_probabilities(
    probability: np.ndarray, offset: float, trained: float, prior: float | None
) -> np.ndarray:
    """Shift probabilities (N,) from prior `trained` to `prior`; without a prior, add the offset."""
    if prior is not None:
        return shift_prior(probability, trained, prior)
    return add_offset(probability, offset)


def _fit(kind: str, members: MemberPredictions, y: np.ndarray, part: np.ndarray) -> FittedEnsemble:
    select_weights = ENSEMBLES[kind][1]
    known = ~np.isnan(members.held_out).any(axis=0)
    known_indices = np.flatnonzero(known)

    def fit_combine(others: np.ndarray, in_part: np.ndarray) -> np.ndarray:
        reference = members.held_out[:, others]
        weights = select_weights(reference, y[others])
        thresholds = members.row_thresholds[:, in_part]
        return combine(kind, members.held_out[:, in_part], weights, reference, thresholds)

    calibration, held_out = calibrate(out_of_fold_values(part, known, fit_combine), y, part)
    reference = members.held_out[:, known_indices]
    weights = select_weights(reference, y[known_indices])
    score = combine(kind, members.final, weights, reference, members.thresholds)
    return FittedEnsemble(kind, weights, calibration, held_out, calibration.apply(score))
