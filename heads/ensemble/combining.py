"""Several probabilities -> one. A combination is a function, an ensemble a line in ENSEMBLES.

Nothing here is slow to import: the command line reads the names off it.
"""

from collections.abc import Callable

import numpy as np

from heads.ensemble.ensemble_selection import greedy_weights, helping_weights

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
