"""Fusion heads of stage one: two embeddings -> one logit. To add one, add it to FUSIONS.

Each is a linear layer on the standardised embeddings, plus what it can learn beyond that. The
linear layer alone is f(image) + g(text), so it cannot recognise a caption that is mean only with a
certain picture. The interaction head can, through the product of both projections.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

DROPOUT = 0.1

HIDDEN_DIM = 256


IMAGE_SCALE = 0.5
"""Factor of the image columns of the linear layer. Below 1, because pictures of 64 pixels say less
than captions: their weights are penalised more, and change less per step."""


class Fusion(nn.Module):
    """The logit: a linear layer on both standardised embeddings, plus `nonlinear` of them.

    The linear layer can start as a linear probe, because `nonlinear` starts at zero.
    """

    def __init__(self, image_dim: int, text_dim: int, nonlinear: nn.Module | None = None) -> None:
        super().__init__()
        self.image = Standardise(image_dim)
        self.text = Standardise(text_dim)
        self.linear = nn.Linear(image_dim + text_dim, 1)
        self.nonlinear = nonlinear

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        image, text = self.image(image), self.text(text)
        logit = self.linear(self.linear_columns(image, text)).squeeze(1)
        return logit if self.nonlinear is None else logit + self.nonlinear(image, text)

    def linear_columns(self, image: Tensor, text: Tensor) -> Tensor:
        """Scale standardised embeddings (B, dim) to norms of about IMAGE_SCALE and 1; join them."""
        return torch.cat(
            [image * IMAGE_SCALE / image.shape[1] ** 0.5, text / text.shape[1] ** 0.5], 1
        )


class Standardise(nn.Module):
    """Subtract a mean (dim,) and multiply by one factor. At first, change nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("factor", torch.ones(()))

    def forward(self, embedding: Tensor) -> Tensor:
        return (embedding - self.mean) * self.factor

    def fit(self, embedding: Tensor) -> Tensor:
        """Standardise rows `embedding` (N, dim) to a mean variance of 1; return them."""
        self.mean.copy_(embedding.mean(0))
        variance = ((embedding - self.mean) ** 2).mean()
        self.factor.copy_(1 / variance.sqrt().clamp(min=1e-6))
        return self(embedding)


class Mlp(nn.Module):
    """An MLP with one hidden layer on the concatenated embeddings."""

    def __init__(self, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.LayerNorm(image_dim + text_dim),
            nn.Linear(image_dim + text_dim, HIDDEN_DIM),
            nn.GELU(),
            nn.Dropout(DROPOUT),
        )
        self.out = _zero_layer(HIDDEN_DIM)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return self.out(self.hidden(torch.cat([image, text], dim=1))).squeeze(1)


class Interaction(nn.Module):
    """Linear layer on [a, b, a * b], where a and b are the projected embeddings of both towers."""

    def __init__(self, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.image = _projection(image_dim)
        self.text = _projection(text_dim)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = _zero_layer(3 * HIDDEN_DIM)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        a, b = self.image(image), self.text(text)
        return self.out(self.dropout(torch.cat([a, b, a * b], dim=1))).squeeze(1)


def _projection(dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, HIDDEN_DIM), nn.LayerNorm(HIDDEN_DIM))


def _zero_layer(dim: int) -> nn.Linear:
    layer = nn.Linear(dim, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


FUSIONS: dict[str, Callable[[int, int], Fusion]] = {
    "linear": Fusion,
    "mlp": lambda image_dim, text_dim: Fusion(image_dim, text_dim, Mlp(image_dim, text_dim)),
    "interaction": lambda image_dim, text_dim: Fusion(
        image_dim, text_dim, Interaction(image_dim, text_dim)
    ),
}
"""Name -> f(image_dim, text_dim), which returns a module: (B, image_dim), (B, text_dim) -> logits
(B,)."""
