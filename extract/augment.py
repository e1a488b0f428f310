"""Random views of a training batch: flipped, and cropped by a little and stretched back."""

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

LEAST_SIDE = 0.75
"""Shortest side of a crop, as a share of the picture's."""


def augment(pixels: Tensor) -> Tensor:
    """uint8 (B, 3, S, S) -> the same shape. Each picture is flipped or not; one crop a batch."""
    flipped = torch.rand(len(pixels)) < 0.5
    pixels = torch.where(flipped.view(-1, 1, 1, 1), pixels.flip(3), pixels)
    size = pixels.shape[-1]
    height, width = (size * (LEAST_SIDE + (1 - LEAST_SIDE) * torch.rand(2))).round().int().tolist()
    top, left = (int(torch.randint(size - side + 1, ())) for side in (height, width))
    return resized_crop(pixels, top, left, height, width, [size, size], antialias=True)
