"""Align fusion: the element-wise product of both modalities in a learned common space (PyTorch)."""

import math
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, gelu, normalize
from torch.nn.utils import clip_grad_norm_

from heads.base import REFIT, Head
from runtime.errors import user_error_if_damaged
from runtime.safetensors_files import load_tensors, save_tensors

NETWORKS = 3
"""Networks per head. They differ in initial weights and dropout, and their logits are averaged."""

WIDTH = 64
"""Columns of the common space."""

HIDDEN = 64

DROPOUT = 0.5

BATCH_SIZE = 128

MIN_BATCHES = 16
"""With few rows, batches are smaller than BATCH_SIZE, so that an epoch has this many."""

LEARNING_RATE = 8e-3

GRADIENT_NORM = 0.1
"""Gradients are clipped to this norm."""

ROWS_PER_BLOCK = 1000
"""Rows predicted at once, to bound the memory."""

Weights = dict[str, Tensor]
"""Of all networks: `weight` float (NETWORKS, inputs, outputs) and `bias` float (NETWORKS, 1,
outputs) of the layers `image`, `text`, `hidden` and `output`."""


class AlignHead(Head):
    """Align fusion of HateCLIPper (Kumar and Nandakumar 2022, Hate-CLIPper, arXiv:2210.05916).

    A linear map takes each modality to a common space; the element-wise product of the two unit
    vectors is the input of a hidden layer. AdamW with a cosine learning-rate schedule over `steps`.

    Made for towers that share coordinates, such as CLIP's; in other spaces the maps have to learn
    the alignment. The paper has 1,024 common columns and a learning rate of 1e-4. On 1,000 to 3,000
    memes, 64 columns and a higher rate did as well as 128 to 512 columns on held-out rows, and fit
    faster.
    """

    GRID: ClassVar = [{"steps": 48}, {"steps": 192}]

    def __init__(self, image_width: int = 0, seed: int = 0, steps: int = 48) -> None:
        self.image_width = image_width
        self.seed = seed
        self.steps = steps

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        scale = max(float(np.sqrt((X**2).mean())), 1e-6)
        rows = torch.from_numpy(X / scale).float(), torch.from_numpy(y).float()
        # Fits run in threads, so each needs its own random generator.
        generator = torch.Generator().manual_seed(self.seed)
        self.weights_ = initial_weights(self.image_width, X.shape[1], generator)
        self._train(*rows, generator)
        for name in ("image.weight", "text.weight"):
            self.weights_[name] /= scale
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        # In double precision, a row's probability does not depend on the other rows of its batch.
        weights = {name: value.double() for name, value in self.weights_.items()}
        blocks = torch.from_numpy(X).double().split(ROWS_PER_BLOCK)
        logit = torch.cat([network_logits(weights, block).mean(dim=0) for block in blocks])
        positive = torch.sigmoid(logit).numpy()
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        save_tensors(self.weights_, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head, path = cls(), folder / "weights.safetensors"
        with user_error_if_damaged(path, REFIT):
            head.weights_, _ = load_tensors(path)
        head.classes_ = np.array([0, 1])
        return head

    def _train(self, X: Tensor, y: Tensor, generator: torch.Generator) -> None:
        parameters = [value.requires_grad_() for value in self.weights_.values()]
        optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=0.1, fused=True)
        batch_size = min(BATCH_SIZE, -(-len(X) // MIN_BATCHES))
        batches: list[Tensor] = []
        for step in range(self.steps):
            if not batches:
                batches += torch.randperm(len(X), generator=generator).split(batch_size)
            rows = batches.pop()
            shape = NETWORKS, len(rows), WIDTH
            dropout = (torch.rand(shape, generator=generator) > DROPOUT).float()
            logits = network_logits(self.weights_, X[rows], dropout)
            loss = binary_cross_entropy_with_logits(logits, y[rows].expand_as(logits))
            optimizer.zero_grad()
            # Each network has its own weights, so the sum of the losses trains each on its own.
            (loss * NETWORKS).backward()
            clip_grad_norm_(parameters, GRADIENT_NORM)
            learning_rate = LEARNING_RATE * (1 + math.cos(math.pi * step / self.steps)) / 2
            optimizer.param_groups[0]["lr"] = learning_rate
            optimizer.step()
        self.weights_ = {name: value.detach() for name, value in self.weights_.items()}


def initial_weights(image_width: int, columns: int, generator: torch.Generator) -> Weights:
    """Draw the initial weights of all networks.

    As in nn.Linear, except for the biases of both maps, which have standard deviation 1. Principal
    components have mean zero, CLIP's embeddings do not; the biases take the place of the mean.
    Without them the product starts with no term of one modality, and hardly learns one.
    """
    layers = {
        "image": (image_width, WIDTH),
        "text": (columns - image_width, WIDTH),
        "hidden": (WIDTH, HIDDEN),
        "output": (HIDDEN, 1),
    }
    weights = {}
    for layer, (inputs, outputs) in layers.items():
        for name, rows in (("weight", inputs), ("bias", 1)):
            uniform = 2 * torch.rand((NETWORKS, rows, outputs), generator=generator) - 1
            weights[f"{layer}.{name}"] = uniform / max(inputs, 1) ** 0.5
    for layer in ("image", "text"):
        weights[f"{layer}.bias"] = torch.randn((NETWORKS, 1, WIDTH), generator=generator)
    return weights


def network_logits(weights: Weights, X: Tensor, dropout: Tensor | float = 1.0) -> Tensor:
    """Return the logit of each row from each network: float (NETWORKS, N).

    X is float (N, columns). `dropout`, 0 or 1 (NETWORKS, N, WIDTH), drops coordinates of the common
    space. It is the same for both modalities: the product of two unit vectors with different
    missing coordinates would be smaller on average than without dropout.
    """
    width = weights["image.weight"].shape[1]
    image = _linear(weights, "image", X[:, :width]) * dropout
    text = _linear(weights, "text", X[:, width:]) * dropout
    # The coordinates of a unit vector shrink with its width: scale their products back.
    product = normalize(image, dim=2) * normalize(text, dim=2) * WIDTH
    return _linear(weights, "output", gelu(_linear(weights, "hidden", product)))[:, :, 0]


def _linear(weights: Weights, layer: str, X: Tensor) -> Tensor:
    return X @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]
