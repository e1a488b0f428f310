"""Gradient-boosted trees on low-dimensional projections of both modalities and their products."""

from pathlib import Path
from typing import ClassVar, Self

import lightgbm
import numpy as np
from sklearn.decomposition import PCA

from heads.base import Head

ROUNDS = 200
PATIENCE = 20


class LightgbmHead(Head):
    """LGBMClassifier with early stopping, deterministic.

    Trees grow greedily and see no gain in any single column of an XOR. Products of principal
    components give them columns in which an interaction is a plain threshold.
    """

    GRID: ClassVar = [{"components": 8}, {"components": 16}]
    stops_early: ClassVar = True

    def __init__(self, image_width: int = 1, seed: int = 0, components: int = 8) -> None:
        self.image_width = image_width
        self.seed = seed
        self.components = components

    def fit(
        self, X: np.ndarray, y: np.ndarray, eval_set: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Self:
        """Fit on X float (N, columns) and y int (N,); `eval_set` decides when to stop."""
        self.classes_ = np.unique(y)
        self.image_mean_, self.image_axes_ = self._principal(X[:, : self.image_width])
        self.text_mean_, self.text_axes_ = self._principal(X[:, self.image_width :])
        model = lightgbm.LGBMClassifier(
            n_estimators=ROUNDS,
            learning_rate=0.1,
            num_leaves=7,
            min_child_samples=10,
            colsample_bytree=0.5,
            subsample=0.8,
            subsample_freq=1,
            reg_lambda=10.0,
            random_state=self.seed,
            # A few thousand rows do not pay for threads, which stall where cores are shared.
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )
        watched = {}
        if eval_set is not None:
            watched = {
                "eval_X": self._columns(eval_set[0]),
                "eval_y": eval_set[1],
                "eval_metric": "binary_logloss",
                "callbacks": [lightgbm.early_stopping(PATIENCE, verbose=False)],
            }
        model.fit(self._columns(X), y, **watched)
        self.booster_ = model.booster_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """float64 (N, 2)."""
        positive = np.asarray(self.booster_.predict(self._columns(X)))
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write LightGBM's own text and the projections."""
        (folder / "trees.txt").write_text(self.booster_.model_to_string(), encoding="utf-8")
        names = ("classes_", "image_mean_", "image_axes_", "text_mean_", "text_axes_")
        arrays = {name: getattr(self, name) for name in names}
        np.savez(folder / "projections.npz", image_width=self.image_width, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; ready to predict."""
        with np.load(folder / "projections.npz", allow_pickle=False) as arrays:
            head = cls(image_width=int(arrays["image_width"]))
            for name in set(arrays) - {"image_width"}:
                setattr(head, name, arrays[name])
        text = (folder / "trees.txt").read_text(encoding="utf-8")
        head.booster_ = lightgbm.Booster(model_str=text)
        return head

    def _principal(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and whitening axes (D, components) of one modality."""
        components = min(self.components, *X.shape)
        pca = PCA(components, random_state=self.seed, svd_solver="randomized").fit(
            X.astype(np.float64)
        )
        spread = np.sqrt(np.maximum(pca.explained_variance_, np.finfo(np.float32).tiny))
        return pca.mean_, pca.components_.T / spread

    def _columns(self, X: np.ndarray) -> np.ndarray:
        """[a, b, all products a_i * b_j]: float64 (N, 2 k + k * k)."""
        a = (X[:, : self.image_width] - self.image_mean_) @ self.image_axes_
        b = (X[:, self.image_width :] - self.text_mean_) @ self.text_axes_
        products = (a[:, :, None] * b[:, None, :]).reshape(len(X), -1)
        return np.concatenate([a, b, products], axis=1)
