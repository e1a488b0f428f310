"""One probability of the members': combined, calibrated, moved to the contest's prior.

A combination is a function and a line in COMBINATIONS; an ensemble is a combination and the way in
which its members' weights are chosen, a line in ENSEMBLES.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from heads.calibration import Calibration, calibrate
from heads.nested import by_part, choose
from heads.prior import shift_prior
from heads.selection import greedy_weights, helping_weights

Combination = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""f(probability (M, N), weights (M,), reference (M, U), thresholds (M, N)) -> score (N,) in [0, 1].

M members; `reference` holds their probabilities of the U held-out rows; weights sum to 1."""


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


def mean(
    probability: np.ndarray, weights: np.ndarray, reference: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weighted mean of the members' probabilities."""
    return weights @ probability


def rank(
    probability: np.ndarray, weights: np.ndarray, reference: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weighted mean of the shares of held-out rows that each member puts below a meme.

    Ranks are taken among the held-out rows, not among the memes scored, so that a single meme has
    one too and does not depend on its company.
    """
    shares = [
        (np.searchsorted(np.sort(r), p, "left") + np.searchsorted(np.sort(r), p, "right")) / 2
        for p, r in zip(probability, reference, strict=True)
    ]
    return weights @ np.asarray(shares) / reference.shape[1]


def vote(
    probability: np.ndarray, weights: np.ndarray, reference: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weighted share of the members whose probability exceeds their own threshold."""
    return weights @ (probability > thresholds)


ENSEMBLES: dict[str, tuple[Combination, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "greedy": (mean, greedy_weights),
    "mean": (mean, helping_weights),
    "rank": (rank, helping_weights),
    "vote": (vote, helping_weights),
}
"""name -> combination, and f(held-out probability (M, U), y (U,)) -> weights (M,)."""

BEST = "best"
"""In place of a name: the kind of least log loss on held-out rows."""


def fit_kinds(
    kinds: list[str], members: Members, y: np.ndarray, part: np.ndarray
) -> tuple[Combined, list[Combined]]:
    """The kind that held-out rows choose, scored by what the other parts choose, and all kinds."""
    tried = [_fit(kind, members, y, part) for kind in kinds]
    best, honest = choose([one.held_out for one in tried], y, part)
    chosen = tried[best]
    final = Combined(chosen.kind, chosen.weights, chosen.calibration, honest, chosen.final)
    return final, tried


def combine(
    kind: str,
    probability: np.ndarray,
    weights: np.ndarray,
    reference: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Score of the weighted members, not yet calibrated: float64 (N,); see `Combination`."""
    kept = weights > 0
    return ENSEMBLES[kind][0](
        probability[kept], weights[kept], reference[kept], np.asarray(thresholds)[kept]
    )


def finish(probability: np.ndarray, trained: float, prior: float | None) -> np.ndarray:
    """Move probabilities (N,) to the contest's prior, if one was given."""
    return probability if prior is None else shift_prior(probability, trained, prior)


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
