"""The stage-one fusion head as a member: its logit is in the features already."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head


class JointHead(Head):
    """Turns the logit of stage one, the only column of X, into a probability. Nothing to fit."""

    GRID: ClassVar = [{}]

    def __init__(self, image_width: int = 0, seed: int = 0) -> None:
        self.image_width = image_width
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Note the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """float64 (N, 2)."""
        logit = X[:, 0].astype(np.float64)
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def save(self, folder: Path) -> None:
        """Nothing was learned."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Ready to predict."""
        head = cls()
        head.classes_ = np.array([0, 1])
        return head
