"""Data augmentation of a training batch: random flips, and one random crop and resize."""

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

MIN_CROP = 0.75
"""Shortest side of a crop, as a share of the picture's side."""


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each picture with probability 1/2, then crop and resize the batch; uint8 (B, 3, S, S).

    Random numbers come from `generator`, which is on the CPU even if the pixels are on a GPU.
    """
    flipped = torch.rand(len(pixels), generator=generator) < 0.5
    pixels = torch.where(flipped.to(pixels.device).view(-1, 1, 1, 1), pixels.flip(3), pixels)
    size = pixels.shape[-1]
    sides = MIN_CROP + (1 - MIN_CROP) * torch.rand(2, generator=generator)
    height, width = (size * sides).round().int().tolist()
    top, left = (
        int(torch.randint(size - side + 1, (), generator=generator)) for side in (height, width)
    )
    return resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
