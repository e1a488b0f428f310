"""Log loss, by which everything is chosen."""

import numpy as np

CLIP = 1e-6


def losses(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log loss of each row, (N,); probabilities may be 0 or 1."""
    return -np.log(np.clip(np.where(y == 1, probability, 1 - probability), CLIP, 1))


def loss(y: np.ndarray, probability: np.ndarray) -> float:
    """Mean log loss of probabilities (N,)."""
    return float(losses(y, probability).mean())
