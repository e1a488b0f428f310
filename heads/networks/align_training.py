"""Training of the networks of `heads.align`, in PyTorch."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, gelu, normalize
from torch.nn.utils.rnn import pad_sequence

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

Weights = dict[str, Tensor]
"""Of all networks: `weight` float (NETWORKS, inputs, outputs) and `bias` float (NETWORKS, 1,
outputs) of the layers `image`, `text`, `hidden` and `output`."""


def train_align_networks(
    data: Sequence[tuple[np.ndarray, np.ndarray]],
    image_widths: Sequence[int],
    seeds: Sequence[int],
    steps: Sequence[int],
) -> list[dict[str, np.ndarray]]:
    """Train NETWORKS on each X float (N, columns) and y int (N,); return their weights.

    Networks of equal shapes and steps are trained as one stack, in less than half of the time. The
    weights are float32, under the names of Weights; `heads.align` predicts with them.
    """
    fits = [
        _Fit.create(X, y, width, seed)
        for (X, y), width, seed in zip(data, image_widths, seeds, strict=True)
    ]
    stacks = defaultdict(list)
    for number, (fit, width, count) in enumerate(zip(fits, image_widths, steps, strict=True)):
        stacks[count, width, fit.X.shape[1]].append(number)
    trained = {}
    for (count, *_), numbers in stacks.items():
        weights = _train([fits[number] for number in numbers], count)
        for index, number in enumerate(numbers):
            own = {name: value[index].clone().numpy() for name, value in weights.items()}
            for name in ("image.weight", "text.weight"):
                own[name] /= np.float32(fits[number].scale)
            trained[number] = own
    return [trained[number] for number in range(len(fits))]


class _Fit(NamedTuple):
    """The initial weights of one head's networks, and its training rows."""

    weights: Weights
    X: Tensor
    """float (N, columns), divided by `scale`."""
    y: Tensor
    """float (N, 1)."""
    scale: float
    generator: torch.Generator
    """Fits run in threads, so each needs its own."""

    @classmethod
    def create(cls, X: np.ndarray, y: np.ndarray, image_width: int, seed: int) -> Self:
        generator = torch.Generator().manual_seed(seed)
        weights = initial_weights(image_width, X.shape[1], generator)
        scale = max(float(np.sqrt((X**2).mean())), 1e-6)
        rows = torch.from_numpy(X / scale).float(), torch.from_numpy(y).float()[:, None]
        return cls(weights, *rows, scale, generator)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield X and y of each batch, the weight of each of its rows, and dropout.

        Dropout is 0 or 1, (N, NETWORKS, WIDTH). An epoch starts with its incomplete batch.
        """
        batch_size = min(BATCH_SIZE, -(-len(self.X) // MIN_BATCHES))
        while True:
            for rows in reversed(
                torch.randperm(len(self.X), generator=self.generator).split(batch_size)
            ):
                shape = NETWORKS, len(rows), WIDTH
                dropout = (torch.rand(shape, generator=self.generator) > DROPOUT).float()
                weight = torch.full((len(rows), 1), 1 / len(rows))
                yield self.X[rows], self.y[rows], weight, dropout.transpose(0, 1)


def _train(fits: list[_Fit], steps: int) -> Weights:
    """Train all networks of some heads at once; return their weights, with heads as first axis."""
    weights = {name: torch.stack([fit.weights[name] for fit in fits]) for name in fits[0].weights}
    parameters = [value.requires_grad_() for value in weights.values()]
    optimizer = torch.optim.AdamW(parameters, LEARNING_RATE, weight_decay=0.1, fused=True)
    batches = zip(*(fit.batches() for fit in fits), strict=True)
    for step, batch in zip(range(steps), batches, strict=False):
        # Batches of different lengths are padded with rows of weight 0.
        padded = (pad_sequence(values, batch_first=True) for values in zip(*batch, strict=True))
        X, y, weight, dropout = padded
        logits = network_logits(weights, X[:, None], dropout.transpose(1, 2))
        losses = binary_cross_entropy_with_logits(
            logits, y.mT.expand_as(logits), weight.mT.expand_as(logits), reduction="sum"
        )
        optimizer.zero_grad()
        # Each network has its own weights, so the sum of the losses trains each on its own.
        losses.backward()
        clip_gradients(parameters)
        learning_rate = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = learning_rate
        optimizer.step()
    return {name: value.detach() for name, value in weights.items()}


def clip_gradients(parameters: list[Tensor]) -> None:
    """Clip the gradients of each head, the first axis of all parameters, to GRADIENT_NORM."""
    squares = [parameter.grad.flatten(1).square().sum(dim=1) for parameter in parameters]
    norm = torch.stack(squares).sum(dim=0).sqrt()
    factor = (GRADIENT_NORM / (norm + 1e-6)).clamp(max=1)
    for parameter in parameters:
        parameter.grad *= factor[:, None, None, None]


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
    missing coordinates would be smaller on average than without dropout. Weights, X (with an axis
    of length 1 for the networks), dropout and logits may have another axis, that of heads, in
    front.
    """
    width = weights["image.weight"].shape[-2]
    image = _linear(weights, "image", X[..., :width]) * dropout
    text = _linear(weights, "text", X[..., width:]) * dropout
    # The coordinates of a unit vector shrink with its width: scale their products back.
    product = normalize(image, dim=-1) * normalize(text, dim=-1) * WIDTH
    return _linear(weights, "output", gelu(_linear(weights, "hidden", product)))[..., 0]


def _linear(weights: Weights, layer: str, X: Tensor) -> Tensor:
    return X @ weights[f"{layer}.weight"] + weights[f"{layer}.bias"]
