"""Support vector machine with an RBF kernel (Cortes and Vapnik 1995; scikit-learn's SVC)."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from heads.base import Head, evenly_spaced, load_arrays, save_arrays

MAX_ROWS = 10_000
"""More training rows are subsampled: the time of a fit grows with their square."""

ROWS_PER_BLOCK = 4096
"""Rows predicted at once. The kernel matrix of a block takes at most 330 MB."""

MARGIN_TO_LOGIT = 1.5
"""Factor from margins to logits. Calibration refines it (Platt 1999)."""

LEARNED = "classes_", "vectors_", "coef_", "intercept_", "gamma_"


class SvmHead(Head):
    """RBF SVM. Its kernel compares whole memes, so it learns interactions of the modalities."""

    GRID: ClassVar = [{"C": 1.0}]

    def __init__(self, image_width: int = 0, seed: int = 0, C: float = 1.0) -> None:
        self.image_width = image_width
        self.seed = seed
        self.C = C

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1; at most MAX_ROWS rows."""
        rows = evenly_spaced(len(X), MAX_ROWS)
        columns = X[rows].astype(np.float64)
        # What scikit-learn calls gamma="scale".
        self.gamma_ = 1 / max(columns.shape[1] * columns.var(), 1e-12)
        # A matrix product computes the kernel faster than libsvm, which takes one pair at a time.
        kernel = rbf_kernel(columns, gamma=self.gamma_)
        model = SVC(C=self.C, kernel="precomputed").fit(kernel, y[rows])
        self.classes_ = model.classes_
        self.vectors_ = columns[model.support_]
        self.coef_ = model.dual_coef_[0]
        self.intercept_ = model.intercept_[0]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        blocks = [X[start : start + ROWS_PER_BLOCK] for start in range(0, len(X), ROWS_PER_BLOCK)]
        margin = np.concatenate([self._margin(block) for block in blocks])
        logit = MARGIN_TO_LOGIT * margin
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def _margin(self, X: np.ndarray) -> np.ndarray:
        kernel = rbf_kernel(X.astype(np.float64), self.vectors_, self.gamma_)
        return kernel @ self.coef_ + self.intercept_

    def save(self, folder: Path) -> None:
        """Write vectors.npz."""
        save_arrays(self, folder / "vectors.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "vectors.npz", LEARNED)
        return head
