"""Support vector machine with an RBF kernel (Cortes and Vapnik 1995; scikit-learn's SVC)."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head, evenly_spaced, load_arrays, save_arrays, share_rows

MAX_ROWS = 10_000
"""More training rows are subsampled: the time of a fit grows with their square."""

ROWS_PER_BLOCK = 256
"""Rows predicted at once, to bound the memory."""

MARGIN_TO_LOGIT = 1.5
"""Factor from margins to logits. Calibration refines it (Platt 1999)."""

LEARNED = "classes_", "vectors_", "coef_", "intercept_", "gamma_"


class SvmHead(Head):
    """RBF SVM. Its kernel compares whole memes, so it learns interactions of the modalities."""

    GRID: ClassVar = [{"C": 0.5}, {"C": 1.0}]

    def __init__(self, image_width: int = 0, seed: int = 0, C: float = 1.0) -> None:
        self.image_width = image_width
        self.seed = seed
        self.C = C

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Fit on one kernel matrix, which takes longer to compute than the fits themselves."""
        # Imported here: predicting does not need it, and must start fast.
        from sklearn.metrics.pairwise import rbf_kernel
        from sklearn.svm import SVC

        X, y = data[0]
        rows = evenly_spaced(len(X), MAX_ROWS)
        columns, labels = X[rows].astype(np.float64), y[rows]
        # What scikit-learn calls gamma="scale".
        gamma = 1 / max(columns.shape[1] * columns.var(), 1e-12)
        kernel = rbf_kernel(columns, gamma=gamma)
        for head in heads:
            model = SVC(C=head.C, kernel="precomputed").fit(kernel, labels)
            head.gamma_ = gamma
            head.classes_ = model.classes_
            head.vectors_ = columns[model.support_]
            head.coef_ = model.dual_coef_[0]
            head.intercept_ = model.intercept_[0]

    @property
    def vectors_(self) -> np.ndarray:
        """The support vectors: float64 (vectors, columns)."""
        return self.pool_[self.places_]

    @vectors_.setter
    def vectors_(self, vectors: np.ndarray) -> None:
        self.pool_, self.places_ = vectors, np.arange(len(vectors))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        return self.predict_together([self], X)[0]

    @classmethod
    def predict_together(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        """Return `predict_proba` of each head; those that share vectors compare X once."""
        blocks = [
            cls._predict_block(heads, X[start : start + ROWS_PER_BLOCK].astype(np.float64))
            for start in range(0, max(len(X), 1), ROWS_PER_BLOCK)
        ]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    @classmethod
    def _predict_block(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        squared: dict[int, np.ndarray] = {}
        probabilities = []
        for head in heads:
            if id(head.pool_) not in squared:
                squared[id(head.pool_)] = _squared_distances(X, head.pool_)
            kernel = np.exp(-head.gamma_ * squared[id(head.pool_)][:, head.places_])
            logit = MARGIN_TO_LOGIT * (kernel @ head.coef_ + head.intercept_)
            probabilities.append(np.stack([expit(-logit), expit(logit)], axis=1))
        return probabilities

    @classmethod
    def share(cls, heads: Sequence[Self]) -> None:
        """Store each support vector once for all heads."""
        pool, places = share_rows([head.vectors_ for head in heads])
        for head, own in zip(heads, places, strict=True):
            head.pool_, head.places_ = pool, own

    def save(self, folder: Path) -> None:
        """Write vectors.npz."""
        save_arrays(self, folder / "vectors.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "vectors.npz", LEARNED)
        return head


def _squared_distances(X: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the squared distance of each row to each vector: float64 (N, vectors)."""
    squared = X @ vectors.T
    squared *= -2
    squared += np.einsum("ij,ij->i", X, X)[:, None]
    squared += np.einsum("ij,ij->i", vectors, vectors)
    return np.maximum(squared, 0, out=squared)
