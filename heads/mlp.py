"""A multilayer perceptron in PyTorch, with its training loop."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils import skip_init
from torch.nn.utils.rnn import pad_sequence

from heads.base import Head
from heads.registry import REFIT
from runtime.errors import user_error_if_damaged
from runtime.safetensors_files import load_tensors, save_tensors

HIDDEN = 64

BATCH_SIZE = 128

MAX_STEPS_PER_EPOCH = 64
"""With many rows, batches are larger than BATCH_SIZE."""

LEARNING_RATE = 3e-3


class MlpHead(Head):
    """One hidden layer with dropout; AdamW with a cosine learning-rate schedule over `epochs`."""

    GRID: ClassVar = [{"epochs": 6}]

    STACKED: ClassVar = True

    def __init__(self, image_width: int = 0, seed: int = 0, epochs: int = 6) -> None:
        self.image_width = image_width
        self.seed = seed
        self.epochs = epochs

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Train networks that take the same steps as one stack, in less than half of the time."""
        stacks = defaultdict(list)
        for head, (X, y) in zip(heads, data, strict=True):
            head.classes_ = np.unique(y)
            network = _Network.create(head, X, y)
            head.module_ = network.module
            stacks[head.epochs, X.shape[1], *network.batches].append(network)
        for (epochs, *_), networks in stacks.items():
            _train(networks, epochs)
        for head in heads:
            # In double precision, a row's probability does not depend on the rest of its batch.
            head.module_.double().eval()

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


class _Network(NamedTuple):
    """One network and its training rows."""

    module: nn.Sequential
    X: Tensor
    """float (N, columns), scaled."""
    y: Tensor
    """float (N, 1)."""
    generator: torch.Generator
    """Fits run in threads, so each network has its own."""

    @classmethod
    def create(cls, head: MlpHead, X: np.ndarray, y: np.ndarray) -> Self:
        generator = torch.Generator().manual_seed(head.seed)
        module = make_module(X.shape[1], float(np.sqrt((X**2).mean())), generator)
        scaled = module[0](torch.from_numpy(np.ascontiguousarray(X)).float())
        return cls(module, scaled, torch.from_numpy(y).float()[:, None], generator)

    @property
    def batches(self) -> tuple[int, int]:
        """Rows in a batch, and batches in an epoch."""
        size = max(BATCH_SIZE, -(-len(self.X) // MAX_STEPS_PER_EPOCH))
        return size, -(-len(self.X) // size)

    def shuffled(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw an epoch: X, y and dropout in random order, and a weight of 1 for each row."""
        order = torch.randperm(len(self.X), generator=self.generator)
        dropout = torch.randint(0, 2, (len(self.X), HIDDEN), generator=self.generator) * 2.0
        return self.X[order], self.y[order], dropout, torch.ones_like(self.y)


def _train(networks: list[_Network], epochs: int) -> None:
    """Train networks that have equally many batches. A batch that lacks a row is padded with 0."""
    size, batches = networks[0].batches
    weights = stack_weights([network.module for network in networks])
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.1, fused=True)
    for epoch in range(epochs):
        rows = zip(*(network.shuffled() for network in networks), strict=True)
        # Split once per epoch: with steps this small, every torch call takes noticeable time.
        padded = (pad_sequence(values, batch_first=True).split(size, dim=1) for values in rows)
        for step, batch in enumerate(zip(*padded, strict=True), epoch * batches):
            learning_rate = LEARNING_RATE * (1 + math.cos(math.pi * step / epochs / batches)) / 2
            optimizer.param_groups[0]["lr"] = learning_rate
            set_gradients(weights, *batch)
            optimizer.step()
    for index, network in enumerate(networks):
        for parameter, stacked in zip(network.module.parameters(), weights, strict=True):
            parameter.data = stacked[index].reshape(parameter.shape).clone()


def stack_weights(modules: list[nn.Sequential]) -> list[Tensor]:
    """Stack the weights of M networks: (M, HIDDEN, columns), (M, 1, HIDDEN) twice, (M, 1, 1)."""
    each = [[p.detach() for p in module.parameters()] for module in modules]
    return [torch.stack([torch.atleast_2d(p) for p in same]) for same in zip(*each, strict=True)]


@torch.no_grad()
def set_gradients(
    weights: list[Tensor], X: Tensor, y: Tensor, dropout: Tensor, row_weight: Tensor
) -> None:
    """Backpropagate: set the gradients of each network's mean binary cross-entropy.

    X float (M, N, columns) is scaled, y and `row_weight` are float (M, N, 1), and `dropout` (M, N,
    HIDDEN) multiplies the hidden layer. Written by hand, as autograd's overhead exceeds the time of
    so small a network.
    """
    first, first_bias, second, second_bias = weights
    before = torch.baddbmm(first_bias, X, first.mT)
    hidden = gelu(before) * dropout
    logit = torch.baddbmm(second_bias, hidden, second.mT)
    residual = (torch.sigmoid(logit) - y) * (row_weight / row_weight.sum(1, keepdim=True))
    backward = torch.ops.aten.gelu_backward(residual * second * dropout, before)
    first.grad, first_bias.grad = backward.mT @ X, backward.sum(1, keepdim=True)
    second.grad, second_bias.grad = residual.mT @ hidden, residual.sum(1, keepdim=True)


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
