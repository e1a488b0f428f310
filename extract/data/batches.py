"""Model inputs in memory, and training batches of captions of similar length."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions

BUCKET_BATCHES = 16
"""Batches in a bucket. Rows are shuffled, then sorted by caption length within each bucket."""


@dataclass(frozen=True)
class Inputs:
    """Pixels and tokens of all rows, in memory."""

    pictures: Pictures
    captions: Captions
    gpu_pixels: Tensor | None = None
    """All distinct pictures, uint8 (P, 3, S, S), on a GPU; None if they are not there."""

    def __len__(self) -> int:
        return len(self.pictures.index)

    def pixels(self, rows: np.ndarray) -> Tensor:
        """Return the pixels of the given rows: uint8 (B, 3, S, S)."""
        return self.pixels_of_pictures(self.pictures.index[rows])

    def pixels_of_pictures(self, indices: np.ndarray) -> Tensor:
        """Return the pixels of distinct pictures: uint8 (B, 3, S, S), from the GPU if possible."""
        if self.gpu_pixels is None:
            return torch.from_numpy(self.pictures.pixels[indices])
        return self.gpu_pixels[torch.from_numpy(indices).to(self.gpu_pixels.device)]

    def subset(self, rows: slice | np.ndarray) -> Self:
        """Return the inputs of some rows, without the pictures and captions of other rows."""
        pictures, captions = self.pictures, self.captions
        used_pictures, picture_index = np.unique(pictures.index[rows], return_inverse=True)
        used_captions, caption_index = np.unique(captions.index[rows], return_inverse=True)
        digests = [pictures.digests[number] for number in used_pictures]
        tokens = [captions.tokens[number] for number in used_captions]
        return replace(
            self,
            pictures=Pictures(
                pictures.pixels[used_pictures],
                pictures.hashes[used_pictures],
                digests,
                picture_index,
            ),
            captions=replace(captions, tokens=tokens, index=caption_index),
            gpu_pixels=None,
        )

    def to_device(self, device: torch.device) -> Self:
        """Copy all pictures to `device` if it is a GPU and half of its free memory stays free."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        pixels = self.pictures.pixels
        if pixels.nbytes > free / 2:
            return self
        return replace(self, gpu_pixels=torch.from_numpy(pixels).to(device))

    def tokens(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return token ids and attention mask of the given rows: int64 (B, L)."""
        ids, mask = self.captions.padded_batch(self.captions.index[rows])
        return torch.from_numpy(ids), torch.from_numpy(mask)


def training_batches(
    rows: np.ndarray,
    lengths: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    min_rows: int = 2,
) -> list[np.ndarray]:
    """Shuffle `rows` and cut them into batches of similar caption length, in random order.

    `lengths` (N,) is indexed by row. If the last batch has fewer than `min_rows` rows, it is added
    to the one before: one meme alone makes a poor gradient, and each rank needs at least one.
    """
    shuffled = rng.permutation(rows)
    bucket_rows = batch_size * BUCKET_BATCHES
    batches = []
    for start in range(0, len(shuffled), bucket_rows):
        in_bucket = shuffled[start : start + bucket_rows]
        in_bucket = in_bucket[np.argsort(lengths[in_bucket], kind="stable")]
        batches += [in_bucket[i : i + batch_size] for i in range(0, len(in_bucket), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < min_rows:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return [batches[number] for number in rng.permutation(len(batches))]
