"""Which members an ensemble keeps, and how much each counts. By log loss on held-out rows."""

from collections.abc import Callable

import numpy as np

from heads.evaluation.metrics import loss

STEPS = 30
"""Members drawn, with replacement, by the greedy selection: weights are multiples of 1 / STEPS."""

Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""f(held-out probability (M, U), y (U,)) -> weights float64 (M,) that sum to 1."""


def greedy_weights(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Forward selection with replacement; the best prefix is kept.

    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), Ensemble Selection from Libraries of Models.
    """
    count = np.zeros(len(probability))
    total = np.zeros(probability.shape[1])
    best_loss, best = np.inf, count
    for step in range(1, STEPS + 1):
        losses = [loss(y, (total + own) / step) for own in probability]
        chosen = int(np.argmin(losses))
        total = total + probability[chosen]
        count = count.copy()
        count[chosen] += 1
        if losses[chosen] < best_loss:
            best_loss, best = losses[chosen], count
    return best / best.sum()


def helping_weights(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Equal weights of the members left when those that do not help have been dropped.

    The member whose absence lowers the log loss of the mean most goes first, one at a time.
    """
    kept = list(range(len(probability)))
    while len(kept) > 1:
        losses = [loss(y, probability[[m for m in kept if m != out]].mean(axis=0)) for out in kept]
        place = int(np.argmin(losses))
        if losses[place] > loss(y, probability[kept].mean(axis=0)):
            break
        kept.pop(place)
    weights = np.zeros(len(probability))
    weights[kept] = 1 / len(kept)
    return weights
