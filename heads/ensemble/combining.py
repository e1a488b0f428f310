"""Combine the members' probabilities: mean, rank or vote. To add an ensemble, add to ENSEMBLES.

This module must import quickly, because the command line reads the names of ensembles from it.
"""

from collections.abc import Callable

import numpy as np

from heads.ensemble.ensemble_selection import Weights, elimination_weights, greedy_weights

Combination = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""f(probability (M, N), weights (M,), reference (M, U), thresholds (M, N)) -> score (N,) in [0, 1].

M members; `reference` holds their probabilities of the U held-out rows; weights sum to 1."""


def mean(
    probability: np.ndarray, weights: np.ndarray, reference: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weighted mean of the members' probabilities."""
    return weights @ probability


def rank(
    probability: np.ndarray, weights: np.ndarray, reference: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Weighted mean of each member's rank of a meme, as a share of held-out rows below it.

    Ranks are among the held-out rows rather than the memes being scored, so that a meme's rank does
    not depend on the other memes of its batch.
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


ENSEMBLES: dict[str, tuple[Combination, Weights]] = {
    "greedy": (mean, greedy_weights),
    "mean": (mean, elimination_weights),
    "rank": (rank, elimination_weights),
    "vote": (vote, elimination_weights),
}
"""Maps each kind to its combination and the function that chooses the weights."""

BEST = "best"
"""In place of a kind: the one with the lowest log loss on held-out rows."""


def combine(
    kind: str,
    probability: np.ndarray,
    weights: np.ndarray,
    reference: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Combine the members whose weight is positive; see `Combination`.

    Returns scores that are not calibrated: float64 (N,).
    """
    used = weights > 0
    return ENSEMBLES[kind][0](
        probability[used], weights[used], reference[used], np.asarray(thresholds)[used]
    )
