"""Ways to make one probability of the members'. A new one is a function and a line in ENSEMBLES."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ensemble:
    """What heads/ensemble.json holds."""

    stamp: str
    """Identity of the features that its members were fitted on."""
    kind: str
    members: list[str]
    threshold: dict[str, Any]
    scores: dict[str, Any]


def combine(
    kind: str, probability: np.ndarray, reference: np.ndarray, threshold: np.ndarray
) -> np.ndarray:
    """One probability a meme, float64 (N,), of the members' (M, N); see ENSEMBLES."""
    return ENSEMBLES[kind](probability, reference, threshold)


def neutral_threshold(kind: str, prior: float) -> float:
    """Where an ensemble decides untuned: a rank has no 0.5 but a share `prior` of positives."""
    return 1 - prior if kind == "rank" else 0.5


def mean(probability: np.ndarray, reference: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Mean of the members' probabilities."""
    return probability.mean(axis=0)


def rank(probability: np.ndarray, reference: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Mean of the shares of held-out rows that each member puts below a meme.

    Ranks are taken among the held-out rows, not among the memes scored, so that a single meme has
    one too and does not depend on its company.
    """
    shares = [
        (np.searchsorted(np.sort(r), p, "left") + np.searchsorted(np.sort(r), p, "right")) / 2
        for p, r in zip(probability, reference, strict=True)
    ]
    return np.mean(shares, axis=0) / reference.shape[1]


def vote(probability: np.ndarray, reference: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Share of the members whose probability exceeds their own threshold."""
    return (probability > threshold).mean(axis=0)


ENSEMBLES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "rank": rank,
    "vote": vote,
}
"""name -> f(probability (M, N), reference (M, U), threshold (M, N) or (M, 1)) -> probability (N,).

M members; `reference` holds their probabilities of the U held-out rows."""
