"""The fusion head of stage one as an ensemble member. Its logit is already in the features."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head


class JointHead(Head):
    """Converts the logit of stage one, the only column of X, to a probability. Learns nothing."""

    GRID: ClassVar = [{}]

    def __init__(self, image_width: int = 0, seed: int = 0) -> None:
        self.image_width = image_width
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Set `classes_`."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        logit = X[:, 0].astype(np.float64)
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def save(self, folder: Path) -> None:
        """Write no file: the head has no learned attributes."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return a head that can predict."""
        head = cls()
        head.classes_ = np.array([0, 1])
        return head
