"""Ensemble selection: the members' weights, by log loss on held-out rows."""

from collections.abc import Callable

import numpy as np

from heads.evaluation.metrics import mean_log_loss

SELECTION_ROUNDS = 30
"""Maximum of members that the greedy selection adds, with replacement."""

Weights = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""f(held-out probability (M, U), y (U,)) -> weights float64 (M,) that sum to 1."""


def greedy_weights(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Greedy forward selection with replacement; returns the weights of the best round.

    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), Ensemble Selection from Libraries of Models.
    """
    count = np.zeros(len(probability))
    total = np.zeros(probability.shape[1])
    best_loss, best = np.inf, count
    for number in range(1, SELECTION_ROUNDS + 1):
        losses = [mean_log_loss(y, (total + member) / number) for member in probability]
        added = int(np.argmin(losses))
        total = total + probability[added]
        count = count.copy()
        count[added] += 1
        if losses[added] < best_loss:
            best_loss, best = losses[added], count
    return best / best.sum()


def elimination_weights(probability: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Backward elimination; returns equal weights of the remaining members.

    Repeatedly removes the member whose removal lowers the log loss of the mean most, until each
    removal would increase the loss.
    """
    remaining = list(range(len(probability)))
    while len(remaining) > 1:
        losses = [
            mean_log_loss(y, probability[[m for m in remaining if m != removed]].mean(axis=0))
            for removed in remaining
        ]
        index = int(np.argmin(losses))
        if losses[index] > mean_log_loss(y, probability[remaining].mean(axis=0)):
            break
        remaining.pop(index)
    weights = np.zeros(len(probability))
    weights[remaining] = 1 / len(remaining)
    return weights
