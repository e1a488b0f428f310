"""Logistic regression on both modalities and on the products of their leading columns."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head, load_arrays, save_arrays

LEARNED = "classes_", "shape_", "coef_", "product_coef_", "intercept_"


class InteractionHead(Head):
    """Bilinear fusion: logistic regression on [a, b, a x b], with a and b projected to a low rank.

    The products allow a weight for "this caption is mean only with that picture" (Tenenbaum and
    Freeman 2000, Separating Style and Content with Bilinear Models). X holds principal components,
    so the projection keeps the first `rank` columns of each modality.
    """

    GRID: ClassVar = [{"C": c, "rank": k} for c in (0.3, 3.0) for k in (8, 16)]

    def __init__(
        self,
        image_width: int = 1,
        seed: int = 0,
        C: float = 0.3,
        rank: int = 8,
        product_scale: float = 1.0,
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.C = C
        self.rank = rank
        self.product_scale = product_scale

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        from sklearn.linear_model import LogisticRegression

        self.shape_ = np.array([self.image_width, self.rank])
        both = column_products(X, *self.shape_)
        # Products of small numbers are even smaller: scale them to the norm of X.
        norm = np.sqrt((both**2).sum(axis=1).mean() / (X**2).sum(axis=1).mean())
        scale = self.product_scale / max(norm, 1e-12)
        model = LogisticRegression(C=self.C, max_iter=1000)
        model.fit(np.concatenate([X, both * scale], axis=1), y)
        self.classes_ = model.classes_
        coef = model.coef_[0].astype(np.float64)
        self.coef_, self.product_coef_ = coef[: X.shape[1]], coef[X.shape[1] :] * scale
        self.intercept_ = model.intercept_[0]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        logit = (
            X @ self.coef_ + column_products(X, *self.shape_) @ self.product_coef_ + self.intercept_
        )
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


def leading_columns(X: np.ndarray, image_width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count` image columns and text columns of X: (N, up to count) each."""
    return X[:, : min(image_width, count)], X[:, image_width : image_width + count]


def column_products(X: np.ndarray, image_width: int, count: int) -> np.ndarray:
    """Multiply each leading image column by each leading text column: (N, up to count**2)."""
    image, text = leading_columns(X, image_width, count)
    return (image[:, :, None] * text[:, None, :]).reshape(len(X), -1)
