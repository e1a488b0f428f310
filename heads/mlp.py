"""A multilayer perceptron in PyTorch, with its training loop."""

import math
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils import skip_init

from heads.base import REFIT, Head
from runtime.errors import user_error_if_damaged
from runtime.safetensors_files import load_tensors, save_tensors

HIDDEN = 64

BATCH_SIZE = 128

MAX_STEPS_PER_EPOCH = 64
"""With many rows, batches are larger than BATCH_SIZE."""

LEARNING_RATE = 3e-3


class MlpHead(Head):
    """One hidden layer with dropout; AdamW with a cosine learning-rate schedule over `epochs`."""

    GRID: ClassVar = [{"epochs": 6}, {"epochs": 24}]

    def __init__(self, image_width: int = 0, seed: int = 0, epochs: int = 6) -> None:
        self.image_width = image_width
        self.seed = seed
        self.epochs = epochs

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        rows = torch.from_numpy(np.ascontiguousarray(X)).float(), torch.from_numpy(y).float()
        # Fits run in threads, so each needs its own random generator.
        generator = torch.Generator().manual_seed(self.seed)
        self.module_ = make_module(X.shape[1], float(np.sqrt((X**2).mean())), generator)
        self._train(*rows, generator)
        # In double precision, a row's probability does not depend on the other rows of its batch.
        self.module_.double().eval()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        with torch.inference_mode():
            positive = torch.sigmoid(self.module_(torch.from_numpy(X).double())[:, 0]).numpy()
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors."""
        save_tensors(self.module_.state_dict(), folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head, path = cls(), folder / "weights.safetensors"
        with user_error_if_damaged(path, REFIT):
            weights, _ = load_tensors(path)
            columns = weights["1.weight"].shape[1]
            head.module_ = make_module(columns, 1.0, torch.Generator()).double().eval()
            head.module_.load_state_dict(weights)
        head.classes_ = np.array([0, 1])
        return head

    def _train(self, X: Tensor, y: Tensor, generator: torch.Generator) -> None:
        batch_size = max(BATCH_SIZE, -(-len(X) // MAX_STEPS_PER_EPOCH))
        steps = self.epochs * -(-len(X) // batch_size)
        scale, *layers = self.module_
        X, y = scale(X), y[:, None]
        parameters = self.module_.parameters()
        optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.1, fused=True)
        step = 0
        for _ in range(self.epochs):
            order = torch.randperm(len(X), generator=generator)
            dropout = torch.randint(0, 2, (len(X), HIDDEN), generator=generator) * 2.0
            # Split once per epoch: with steps this small, every torch call takes noticeable time.
            batches = (values.split(batch_size) for values in (X[order], y[order], dropout))
            for batch in zip(*batches, strict=True):
                learning_rate = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
                optimizer.param_groups[0]["lr"] = learning_rate
                set_gradients(layers, *batch)
                optimizer.step()
                step += 1


@torch.no_grad()
def set_gradients(layers: list[nn.Module], X: Tensor, y: Tensor, dropout: Tensor) -> None:
    """Backpropagate: set the parameters' gradients of the mean binary cross-entropy.

    X float (N, columns) is scaled, y is float (N, 1), and `dropout` (N, HIDDEN) multiplies the
    hidden layer. Written by hand, as autograd's overhead exceeds the time of so small a network.
    """
    first, _, _, second = layers
    before = first(X)
    hidden = gelu(before) * dropout
    residual = (torch.sigmoid(second(hidden)) - y) / len(y)
    backward = torch.ops.aten.gelu_backward(residual * second.weight * dropout, before)
    first.weight.grad, first.bias.grad = backward.T @ X, backward.sum(0)
    second.weight.grad, second.bias.grad = residual.T @ hidden, residual.sum(0)


class _Scale(nn.Module):
    """Divide all columns by one number, which is saved with the weights."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, X: Tensor) -> Tensor:
        return X / self.scale


def make_module(columns: int, scale: float, generator: torch.Generator) -> nn.Sequential:
    """Create the network: scale, hidden layer, GELU, dropout, output.

    `generator` draws the initial weights.
    """
    return nn.Sequential(
        _Scale(max(scale, 1e-6)),
        _linear(columns, HIDDEN, generator),
        nn.GELU(),
        nn.Dropout(),
        _linear(HIDDEN, 1, generator),
    )


def _linear(columns: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Create an nn.Linear whose default initial weights are drawn from `generator`."""
    layer = skip_init(nn.Linear, columns, outputs)
    bound = columns**-0.5
    for values in (layer.weight, layer.bias):
        nn.init.uniform_(values, -bound, bound, generator=generator)
    return layer
