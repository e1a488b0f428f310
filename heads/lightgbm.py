"""Gradient-boosted trees on the leading columns of both modalities and their products."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import lightgbm
import numpy as np

from heads.base import Head, load_arrays, save_arrays
from heads.interaction import column_products, leading_columns
from heads.registry import REFIT
from runtime.errors import user_error_if_damaged

LEARNED = "classes_", "shape_", "trees_"


class LightgbmHead(Head):
    """Deterministic LGBMClassifier.

    Trees grow greedily and find no gain in any single column of an XOR. In products of the leading
    columns, an interaction is a simple threshold.
    """

    GRID: ClassVar = [{"rounds": 60}, {"rounds": 200}]

    def __init__(
        self, image_width: int = 1, seed: int = 0, rounds: int = 60, components: int = 8
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.rounds = rounds
        self.components = components

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        self.shape_ = np.array([self.image_width, self.components])
        model = lightgbm.LGBMClassifier(
            n_estimators=self.rounds,
            learning_rate=0.05,
            num_leaves=7,
            min_child_samples=10,
            colsample_bytree=0.5,
            subsample=0.8,
            subsample_freq=1,
            reg_lambda=10.0,
            random_state=self.seed,
            # Threads do not pay off on a few thousand rows, and stall if cores are shared.
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )
        booster = model.fit(self._columns(X), y).booster_
        self._set_trees(booster.model_to_string())
        return self

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Fit the head with most rounds; the others get its first trees, which are the same."""
        longest = max(heads, key=lambda head: head.rounds)
        longest.fit(*data[0])
        for head in heads:
            same = {**head.get_params(), "rounds": longest.rounds} == longest.get_params()
            if not same:
                head.fit(*data[0])
            elif head is not longest:
                head.classes_, head.shape_ = longest.classes_, longest.shape_
                head._set_trees(longest.booster_.model_to_string(num_iteration=head.rounds))

    def _set_trees(self, text: str) -> None:
        """Use the trees of LightGBM's text format."""
        self.trees_ = np.frombuffer(text.encode(), np.uint8)
        self.booster_ = lightgbm.Booster(model_str=text)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        positive = np.asarray(self.booster_.predict(self._columns(X), num_threads=1))
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write trees.npz: the trees in LightGBM's text format.

        Inside an npz because that has checksums: LightGBM ends the process on a truncated text.
        """
        save_arrays(self, folder / "trees.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head, path = cls(), folder / "trees.npz"
        load_arrays(head, path, LEARNED)
        with user_error_if_damaged(path, REFIT):
            head._set_trees(head.trees_.tobytes().decode())
        return head

    def _columns(self, X: np.ndarray) -> np.ndarray:
        parts = *leading_columns(X, *self.shape_), column_products(X, *self.shape_)
        return np.concatenate(parts, axis=1).astype(np.float64)
