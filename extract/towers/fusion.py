"""Fusion heads of stage one: two embeddings -> one logit. To add one, add it to FUSIONS.

A linear head on [image, text] is f(image) + g(text), so it cannot recognise a caption that is mean
only with a certain picture. The interaction head can, through the product of both projections.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

DROPOUT = 0.1

HIDDEN_DIM = 256


class LinearFusion(nn.Module):
    """One linear layer on the concatenated embeddings: the reference recipe."""

    def __init__(self, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(image_dim + text_dim, 1)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return self.head(torch.cat([image, text], dim=1)).squeeze(1)


class MlpFusion(nn.Module):
    """An MLP with one hidden layer on the concatenated embeddings."""

    def __init__(self, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.LayerNorm(image_dim + text_dim),
            nn.Linear(image_dim + text_dim, HIDDEN_DIM),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN_DIM, 1),
        )

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        return self.head(torch.cat([image, text], dim=1)).squeeze(1)


class InteractionFusion(nn.Module):
    """Linear layer on [a, b, a * b], where a and b are the projected embeddings of both towers."""

    def __init__(self, image_dim: int, text_dim: int) -> None:
        super().__init__()
        self.image = _projection(image_dim)
        self.text = _projection(text_dim)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(3 * HIDDEN_DIM, 1)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        a, b = self.image(image), self.text(text)
        return self.head(self.dropout(torch.cat([a, b, a * b], dim=1))).squeeze(1)


def _projection(dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, HIDDEN_DIM), nn.LayerNorm(HIDDEN_DIM))


FUSIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": LinearFusion,
    "mlp": MlpFusion,
    "interaction": InteractionFusion,
}
"""Name -> f(image_dim, text_dim), which returns a module: (B, image_dim), (B, text_dim) -> logits
(B,)."""
