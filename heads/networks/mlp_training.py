"""Training of the multilayer perceptron of `heads.mlp`, in PyTorch."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils import skip_init
from torch.nn.utils.rnn import pad_sequence

HIDDEN = 64

BATCH_SIZE = 128

MAX_STEPS_PER_EPOCH = 64
"""With many rows, batches are larger than BATCH_SIZE."""

LEARNING_RATE = 3e-3


def train_perceptrons(
    data: Sequence[tuple[np.ndarray, np.ndarray]], seeds: Sequence[int], epochs: Sequence[int]
) -> list[dict[str, np.ndarray]]:
    """Train a network on each X float (N, columns) and y int (N,); return their weights.

    Networks that take the same steps are trained as one stack, in less than half of the time. The
    weights are float64; `heads.mlp` predicts with them.
    """
    networks = [_Network.create(X, y, seed) for (X, y), seed in zip(data, seeds, strict=True)]
    stacks = defaultdict(list)
    for network, count in zip(networks, epochs, strict=True):
        stacks[count, network.X.shape[1], *network.batches].append(network)
    for (count, *_), stack in stacks.items():
        _train(stack, count)
    states = [network.module.double().state_dict() for network in networks]
    return [{name: value.numpy() for name, value in state.items()} for state in states]


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
    def create(cls, X: np.ndarray, y: np.ndarray, seed: int) -> Self:
        generator = torch.Generator().manual_seed(seed)
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
