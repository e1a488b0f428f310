"""Support vector machine with an RBF kernel (Cortes and Vapnik 1995; scikit-learn's SVC)."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import ComparingHead, evenly_spaced, load_arrays, save_arrays

MAX_ROWS = 10_000
"""More training rows are subsampled: the time of a fit grows with their square."""

KERNEL_ROWS = 1_000
"""Rows of the kernel computed at once, to bound the memory."""

MARGIN_TO_LOGIT = 1.5
"""Factor from margins to logits. Calibration refines it (Platt 1999)."""

LEARNED = "classes_", "vectors_", "coef_", "intercept_", "gamma_"


class SvmHead(ComparingHead):
    """RBF SVM. Its kernel compares whole memes, so it learns interactions of the modalities."""

    GRID: ClassVar = [{"C": 1.0}]

    vectors_ = ComparingHead.rows_
    """The support vectors."""

    def __init__(self, image_width: int = 0, seed: int = 0, C: float = 1.0) -> None:
        self.image_width = image_width
        self.seed = seed
        self.C = C

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1; at most MAX_ROWS rows."""
        # Imported here: predicting does not need it, and must start fast.
        from sklearn.svm import SVC

        rows = evenly_spaced(len(X), MAX_ROWS)
        columns = X[rows].astype(np.float64)
        # What scikit-learn calls gamma="scale".
        self.gamma_ = 1 / max(columns.shape[1] * columns.var(), 1e-12)
        # libsvm takes longer, as it compares one pair at a time.
        kernel = _rbf_kernel(columns.astype(np.float32), self.gamma_)
        model = SVC(C=self.C, kernel="precomputed").fit(kernel, y[rows])
        self.classes_ = model.classes_
        self.vectors_ = columns[model.support_]
        self.coef_ = model.dual_coef_[0]
        self.intercept_ = model.intercept_[0]
        return self

    def compare(self, X: np.ndarray) -> np.ndarray:
        """Return the squared distance of each row of X to each vector: float64 (N, vectors)."""
        X, vectors = X.astype(np.float64), self.rows_in_common_
        norms = [np.einsum("ij,ij->i", rows, rows) for rows in (X, vectors)]
        return np.maximum(norms[0][:, None] - 2 * (X @ vectors.T) + norms[1], 0)

    def probability(self, compared: np.ndarray) -> np.ndarray:
        """Predict positives' probability from squared distances: float64 (N,)."""
        kernel = np.exp(-self.gamma_ * compared)
        return expit(MARGIN_TO_LOGIT * (kernel @ self.coef_ + self.intercept_))

    def save(self, folder: Path) -> None:
        """Write vectors.npz."""
        save_arrays(self, folder / "vectors.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "vectors.npz", LEARNED)
        return head


def _rbf_kernel(X: np.ndarray, gamma: float) -> np.ndarray:
    """Return exp(-gamma * squared distance) of each pair of rows: float64 (N, N), as libsvm needs.

    scikit-learn's `rbf_kernel` takes three times as long, as it computes in double precision.
    """
    X = (X - X.mean(axis=0)) * np.float32((2 * gamma) ** 0.5)
    half_norm = np.einsum("ij,ij->i", X, X) / 2
    kernel = np.empty((len(X), len(X)))
    for start in range(0, len(X), KERNEL_ROWS):
        rows = slice(start, start + KERNEL_ROWS)
        exponent = X[rows] @ X.T - half_norm[rows, None] - half_norm
        kernel[rows] = np.exp(np.minimum(exponent, 0))
    return kernel
