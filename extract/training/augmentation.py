"""Random views of a training batch: flipped, and cropped by a little and stretched back."""

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

LEAST_SIDE = 0.75
"""Shortest side of a crop, as a share of the picture's."""


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (B, 3, S, S) -> the same shape. Each picture is flipped or not; one crop a batch.

    What is done is drawn from `generator`, a CPU's, whatever device the pixels are on.
    """
    flipped = torch.rand(len(pixels), generator=generator) < 0.5
    pixels = torch.where(flipped.to(pixels.device).view(-1, 1, 1, 1), pixels.flip(3), pixels)
    size = pixels.shape[-1]
    sides = LEAST_SIDE + (1 - LEAST_SIDE) * torch.rand(2, generator=generator)
    height, width = (size * sides).round().int().tolist()
    top, left = (
        int(torch.randint(size - side + 1, (), generator=generator)) for side in (height, width)
    )
    return resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
