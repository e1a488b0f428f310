"""A multilayer perceptron in torch."""

import math
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils import skip_init

from heads.base import REFIT, Head
from runtime.errors import damage_named
from runtime.safetensors_files import load_tensors, save_tensors

HIDDEN = 64

BATCH = 128

MOST_STEPS = 64
"""Steps of an epoch; of many rows, each step takes more."""

RATE = 3e-3


class MlpHead(Head):
    """One hidden layer, dropout, AdamW with a rate that falls to zero over `epochs`."""

    GRID: ClassVar = [{"epochs": 6}, {"epochs": 24}]

    def __init__(self, image_width: int = 0, seed: int = 0, epochs: int = 6) -> None:
        self.image_width = image_width
        self.seed = seed
        self.epochs = epochs

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        rows = torch.from_numpy(np.ascontiguousarray(X)).float(), torch.from_numpy(y).float()
        # Fits run in threads: none may draw from torch's common generator.
        generator = torch.Generator().manual_seed(self.seed)
        self.module_ = make_module(X.shape[1], float(np.sqrt((X**2).mean())), generator)
        self._train(*rows, generator)
        # In double precision, a probability does not depend on its neighbours in the batch.
        self.module_.double().eval()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """float64 (N, 2)."""
        with torch.inference_mode():
            positive = torch.sigmoid(self.module_(torch.from_numpy(X).double())[:, 0]).numpy()
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        save_tensors(self.module_.state_dict(), folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; ready to predict."""
        head, path = cls(), folder / "weights.safetensors"
        with damage_named(path, REFIT):
            weights, _ = load_tensors(path)
            columns = weights["1.weight"].shape[1]
            head.module_ = make_module(columns, 1.0, torch.Generator()).double().eval()
            head.module_.load_state_dict(weights)
        head.classes_ = np.array([0, 1])
        return head

    def _train(self, X: Tensor, y: Tensor, generator: torch.Generator) -> None:
        batch = max(BATCH, -(-len(X) // MOST_STEPS))
        steps = self.epochs * -(-len(X) // batch)
        scale, *layers = self.module_
        X, y = scale(X), y[:, None]
        parameters = self.module_.parameters()
        optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.1, fused=True)
        step = 0
        for _ in range(self.epochs):
            order = torch.randperm(len(X), generator=generator)
            dropout = torch.randint(0, 2, (len(X), HIDDEN), generator=generator) * 2.0
            # Cut at once: of steps this small, each call of torch counts.
            batches = (values.split(batch) for values in (X[order], y[order], dropout))
            for part in zip(*batches, strict=True):
                optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2
                set_gradients(layers, *part)
                optimizer.step()
                step += 1


@torch.no_grad()
def set_gradients(layers: list[nn.Module], X: Tensor, y: Tensor, dropout: Tensor) -> None:
    """Give the parameters the gradients of the mean binary cross-entropy, in place.

    X float (N, columns), scaled, y float (N, 1), `dropout` (N, HIDDEN) multiplies the hidden
    layer. By hand: autograd's bookkeeping takes longer than so small a network.
    """
    first, _, _, second = layers
    before = first(X)
    hidden = gelu(before) * dropout
    residual = (torch.sigmoid(second(hidden)) - y) / len(y)
    backward = torch.ops.aten.gelu_backward(residual * second.weight * dropout, before)
    first.weight.grad, first.bias.grad = backward.T @ X, backward.sum(0)
    second.weight.grad, second.bias.grad = residual.T @ hidden, residual.sum(0)


class _Scale(nn.Module):
    """Divide by one number, saved with the weights: columns keep their relative sizes."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, X: Tensor) -> Tensor:
        return X / self.scale


def make_module(columns: int, scale: float, generator: torch.Generator) -> nn.Sequential:
    """Scale, hidden layer, GELU, dropout, output; `generator` draws the initial weights."""
    return nn.Sequential(
        _Scale(max(scale, 1e-6)),
        _linear(columns, HIDDEN, generator),
        nn.GELU(),
        nn.Dropout(),
        _linear(HIDDEN, 1, generator),
    )


def _linear(columns: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """nn.Linear with its usual initial weights, drawn from `generator`."""
    layer = skip_init(nn.Linear, columns, outputs)
    bound = columns**-0.5
    for values in (layer.weight, layer.bias):
        nn.init.uniform_(values, -bound, bound, generator=generator)
    return layer
