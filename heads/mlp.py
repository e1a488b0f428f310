"""A multilayer perceptron. Its training is in `heads.networks.mlp_training`."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head, gelu
from heads.registry import REFIT
from runtime.errors import user_error_if_damaged
from runtime.files.safetensors_files import NUMPY, load_tensors, save_tensors

NAMES = {"0.scale", "1.weight", "1.bias", "4.weight", "4.bias"}
"""Of the weights: those of the modules of an nn.Sequential."""


class MlpHead(Head):
    """One hidden layer with dropout; AdamW with a cosine learning-rate schedule over `epochs`.

    PyTorch trains it. numpy predicts, so that scoring needs no PyTorch, and takes less time for one
    meme. The same function predicts held-out rows, test rows and new memes.
    """

    GRID: ClassVar = [{"epochs": 6}, {"epochs": 24}]

    STACKED: ClassVar = True

    weights_: dict[str, np.ndarray]
    """float64, by NAMES: a factor (), then weight (outputs, inputs) and bias (outputs,) twice."""

    def __init__(self, image_width: int = 0, seed: int = 0, epochs: int = 6) -> None:
        self.image_width = image_width
        self.seed = seed
        self.epochs = epochs

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Train networks that take the same steps as one stack, in less than half of the time."""
        # Imported here: predicting does not need PyTorch.
        from heads.networks.mlp_training import train_perceptrons

        seeds, epochs = [head.seed for head in heads], [head.epochs for head in heads]
        for head, weights in zip(heads, train_perceptrons(data, seeds, epochs), strict=True):
            head.weights_ = weights
        for head, (_, y) in zip(heads, data, strict=True):
            head.classes_ = np.unique(y)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        # In double precision, a row's probability does not depend on the rest of its batch.
        w = self.weights_
        hidden = gelu(X / w["0.scale"] @ w["1.weight"].T + w["1.bias"])
        logit = (hidden @ w["4.weight"].T + w["4.bias"])[:, 0]
        return np.stack([expit(-logit), expit(logit)], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        save_tensors(self.weights_, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head, path = cls(), folder / "weights.safetensors"
        with user_error_if_damaged(path, REFIT):
            head.weights_, _ = load_tensors(path, NUMPY)
            if head.weights_.keys() != NAMES:
                raise ValueError(f"found the weights {sorted(head.weights_)}")
        head.classes_ = np.array([0, 1])
        return head
