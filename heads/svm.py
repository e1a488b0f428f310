"""Support vector machine with an RBF kernel (Cortes and Vapnik 1995; scikit-learn's SVC)."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from heads.base import Head, evenly_spaced, load_arrays, save_arrays

MAX_ROWS = 10_000
"""More training rows are subsampled: the time of a fit grows with their square."""

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

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        kernel = rbf_kernel(X.astype(np.float64), self.vectors_, self.gamma_)
        logit = MARGIN_TO_LOGIT * (kernel @ self.coef_ + self.intercept_)
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def save(self, folder: Path) -> None:
        """Write vectors.npz."""
        save_arrays(self, folder / "vectors.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "vectors.npz", LEARNED)
        return head
