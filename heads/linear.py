"""Logistic regression with a regularisation strength for each modality."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head, load_arrays, save_arrays

LEARNED = "classes_", "coef_", "intercept_"


class LinearHead(Head):
    """L2-regularised logistic regression; a small C means strong regularisation.

    Image columns are multiplied by `image_scale`. This is equivalent to penalising their
    coefficients 1 / image_scale**2 times as much as those of text columns.
    """

    GRID: ClassVar = [{"C": c, "image_scale": s} for c in (0.2, 1.5) for s in (0.3, 1.0)]

    def __init__(
        self, image_width: int = 0, seed: int = 0, C: float = 0.3, image_scale: float = 1.0
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.C = C
        self.image_scale = image_scale

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        from sklearn.linear_model import LogisticRegression

        # Single precision, like X, takes half the time.
        scale = np.ones(X.shape[1], dtype=np.float32)
        scale[: self.image_width] = self.image_scale
        model = LogisticRegression(C=self.C, max_iter=1000).fit(X.astype(np.float32) * scale, y)
        self.classes_ = model.classes_
        self.coef_ = (model.coef_[0] * scale).astype(np.float64)
        self.intercept_ = model.intercept_[0]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        logit = X @ self.coef_ + self.intercept_
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.npz."""
        save_arrays(self, folder / "weights.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "weights.npz", LEARNED)
        return head
