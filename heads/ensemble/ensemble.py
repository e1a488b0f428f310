"""One probability of the members': combined, calibrated, moved to the contest's prior."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from heads.decision.calibration import Calibration, calibrate
from heads.decision.prior_shift import shift_prior
from heads.decision.val_offset import add_offset
from heads.ensemble.combining import ENSEMBLES, combine
from heads.evaluation.out_of_fold import by_part, choose


@dataclass(frozen=True)
class Members:
    """What every member says."""

    held_out: np.ndarray
    """float64 (M, N): NaN off the rows that are reported on."""
    final: np.ndarray
    """float64 (M, N)."""
    row_thresholds: np.ndarray
    """float64 (M, N): tuned without the row's part."""
    thresholds: np.ndarray
    """float64 (M, 1)."""


@dataclass(frozen=True)
class Ensemble:
    """What heads/ensemble.json holds."""

    stamp: str
    """Identity of the features that its members were fitted on."""
    kind: str
    weights: dict[str, float]
    """Of each head that was offered; 0 means dropped."""
    calibration: dict[str, Any]
    offset: float
    """Added to the logits of val and test rows, where val is not like train."""
    trained_prior: float
    """Share of positives among the rows that it was calibrated on."""
    prior: float | None
    """Share of positives that the probabilities are meant for, if another."""
    threshold: dict[str, Any]
    scores: dict[str, Any]
    tried: list[dict[str, Any]]
    """Of each kind that was tried: kind, log_loss, auroc on held-out rows."""
    members: list[dict[str, Any]]
    """Of each head: name, weight, and what the ensemble's AUROC and log loss lose without it."""
    correlation: list[list[float]]
    """Of the heads' held-out logits, in the order of `members`."""


@dataclass(frozen=True)
class Combined:
    """An ensemble of one kind, fitted."""

    kind: str
    weights: np.ndarray
    calibration: Calibration
    held_out: np.ndarray
    """float64 (N,): each part by the weights and calibration that the other parts choose."""
    final: np.ndarray
    """float64 (N,): calibrated too."""


def fit_kinds(
    kinds: list[str], members: Members, y: np.ndarray, part: np.ndarray
) -> tuple[Combined, list[Combined]]:
    """The kind that held-out rows choose, scored by what the other parts choose, and all kinds."""
    tried = [_fit(kind, members, y, part) for kind in kinds]
    best, honest = choose([one.held_out for one in tried], y, part)
    chosen = tried[best]
    final = Combined(chosen.kind, chosen.weights, chosen.calibration, honest, chosen.final)
    return final, tried


def finish(
    probability: np.ndarray, offset: float, trained: float, prior: float | None
) -> np.ndarray:
    """Move probabilities (N,) by the offset, or to the contest's prior if one was given."""
    if prior is not None:
        return shift_prior(probability, trained, prior)
    return add_offset(probability, offset)


def _fit(kind: str, members: Members, y: np.ndarray, part: np.ndarray) -> Combined:
    select = ENSEMBLES[kind][1]
    known = ~np.isnan(members.held_out).any(axis=0)
    everything = np.flatnonzero(known)

    def of_part(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        reference = members.held_out[:, others]
        weights = select(reference, y[others])
        own_thresholds = members.row_thresholds[:, own]
        return combine(kind, members.held_out[:, own], weights, reference, own_thresholds)

    calibration, held_out = calibrate(by_part(part, known, of_part), y, part)
    reference = members.held_out[:, everything]
    weights = select(reference, y[everything])
    score = combine(kind, members.final, weights, reference, members.thresholds)
    return Combined(kind, weights, calibration, held_out, calibration.apply(score))
