"""Support vector machine with an RBF kernel (Cortes and Vapnik 1995; scikit-learn's SVC)."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import ComparingHead, evenly_spaced, load_arrays, save_arrays

MAX_ROWS = 10_000
"""More training rows are subsampled: the time of a fit grows with their square."""

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
        from sklearn.metrics.pairwise import rbf_kernel
        from sklearn.svm import SVC

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
