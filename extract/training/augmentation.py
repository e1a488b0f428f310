"""Data augmentation of a training batch: one random crop and resize.

Pictures are not mirrored: that would turn around words and the order of panels.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

MIN_CROP = 0.75
"""Shortest side of a crop, as a share of the picture's side."""


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Crop and resize the batch, uint8 (B, 3, S, S).

    Random numbers come from `generator`, which is on the CPU even if the pixels are on a GPU.
    """
    size = pixels.shape[-1]
    sides = MIN_CROP + (1 - MIN_CROP) * torch.rand(2, generator=generator)
    height, width = (size * sides).round().int().tolist()
    top, left = (
        int(torch.randint(size - side + 1, (), generator=generator)) for side in (height, width)
    )
    return resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
