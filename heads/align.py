"""Align fusion: the element-wise product of both modalities in a learned common space.

Its training is in `heads.networks.align_training`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import expit

from heads.base import Head, gelu
from heads.registry import REFIT
from runtime.errors import user_error_if_damaged
from runtime.files.safetensors_files import NUMPY, load_tensors, save_tensors

ROWS_PER_BLOCK = 1000
"""Rows predicted at once, to bound the memory."""

LAYERS = "image", "text", "hidden", "output"

SMALLEST_LENGTH = 1e-12
"""A shorter vector is divided by this, so that a missing modality gives zeros."""


class AlignHead(Head):
    """Align fusion of HateCLIPper (Kumar and Nandakumar 2022, Hate-CLIPper, arXiv:2210.05916).

    A linear map takes each modality to a common space; the element-wise product of the two unit
    vectors is the input of a hidden layer. AdamW with a cosine learning-rate schedule over `steps`.

    Made for towers that share coordinates, such as CLIP's; in other spaces the maps have to learn
    the alignment. The paper has 1,024 common columns and a learning rate of 1e-4. On 1,000 to 3,000
    memes, 64 columns and a higher rate did as well as 128 to 512 columns on held-out rows, and fit
    faster.

    PyTorch trains it; numpy predicts, as in `MlpHead`.
    """

    GRID: ClassVar = [{"steps": 48}, {"steps": 192}]

    STACKED: ClassVar = True

    weights_: dict[str, np.ndarray]
    """float32: `weight` (networks, inputs, outputs) and `bias` (networks, 1, outputs) of LAYERS."""

    def __init__(self, image_width: int = 0, seed: int = 0, steps: int = 48) -> None:
        self.image_width = image_width
        self.seed = seed
        self.steps = steps

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Train heads with equal shapes and steps as one stack, in less than half of the time."""
        # Imported here: predicting does not need PyTorch.
        from heads.networks.align_training import train_align_networks

        settings = zip(*((head.image_width, head.seed, head.steps) for head in heads), strict=True)
        trained = train_align_networks(data, *settings)
        for head, weights, (_, y) in zip(heads, trained, data, strict=True):
            head.weights_, head.classes_ = weights, np.unique(y)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        # In double precision, a row's probability does not depend on the other rows of its batch.
        weights = {name: value.astype(np.float64) for name, value in self.weights_.items()}
        blocks = [X[i : i + ROWS_PER_BLOCK] for i in range(0, max(len(X), 1), ROWS_PER_BLOCK)]
        logits = [network_logits(weights, block.astype(np.float64)) for block in blocks]
        logit = np.concatenate([block.mean(axis=0) for block in logits])
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
            expected = {f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")}
            if head.weights_.keys() != expected:
                raise ValueError(f"found the weights {sorted(head.weights_)}")
        head.classes_ = np.array([0, 1])
        return head


def network_logits(weights: dict[str, np.ndarray], X: np.ndarray) -> np.ndarray:
    """Return the logit of each row from each network: float (networks, N). X is (N, columns)."""

    def linear(layer: str, values: np.ndarray) -> np.ndarray:
        return values @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]

    width = weights["image.weight"].shape[-2]
    image, text = _unit(linear("image", X[:, :width])), _unit(linear("text", X[:, width:]))
    # The coordinates of a unit vector shrink with its width: their products are scaled back.
    product = image * text * image.shape[-1]
    return linear("output", gelu(linear("hidden", product)))[..., 0]


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    return vectors / np.maximum(length, SMALLEST_LENGTH)
