"""What the towers need of a table, in memory, and training batches of captions of like length."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions

BUCKET_BATCHES = 16
"""Training rows are sorted by length within so many batches, and shuffled beyond."""


@dataclass(frozen=True)
class Inputs:
    """All that the towers need of a table, in memory."""

    pictures: Pictures
    captions: Captions
    resident: Tensor | None = None
    """All distinct pictures, uint8 (P, 3, S, S), on a GPU."""

    def __len__(self) -> int:
        return len(self.pictures.index)

    def pixels(self, rows: np.ndarray) -> Tensor:
        """uint8 (B, 3, S, S) of the given rows."""
        return self.bytes_of(self.pictures.index[rows])

    def bytes_of(self, places: np.ndarray) -> Tensor:
        """uint8 (B, 3, S, S) of distinct pictures, on the GPU that holds them all, if one does."""
        if self.resident is None:
            return torch.from_numpy(self.pictures.pixels[places])
        return self.resident[torch.from_numpy(places).to(self.resident.device)]

    def part(self, rows: slice) -> Self:
        """The inputs of some rows, with the pictures and captions of no others."""
        pictures, captions = self.pictures, self.captions
        shown, places = np.unique(pictures.index[rows], return_inverse=True)
        said, words = np.unique(captions.index[rows], return_inverse=True)
        digests = [pictures.digests[place] for place in shown]
        tokens = [captions.tokens[place] for place in said]
        return replace(
            self,
            pictures=Pictures(pictures.pixels[shown], pictures.hashes[shown], digests, places),
            captions=replace(captions, tokens=tokens, index=words),
            resident=None,
        )

    def moved(self, device: torch.device) -> Self:
        """These inputs with all pictures on a GPU, if they leave it half of its free memory."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        pixels = self.pictures.pixels
        if pixels.nbytes > free / 2:
            return self
        return replace(self, resident=torch.from_numpy(pixels).to(device))

    def tokens(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Ids and mask, int64 (B, L), of the given rows."""
        return self.captions.padded(self.captions.index[rows])


def training_batches(
    rows: np.ndarray,
    lengths: np.ndarray,
    batch_size: int,
    rng: np.random.Generator,
    least: int = 2,
) -> list[np.ndarray]:
    """Shuffle `rows` and cut them into batches of like caption length, in random order.

    `lengths` (N,) is indexed by row. A last batch of fewer than `least` rows joins the batch before
    it: batch normalisation cannot take one row, nor can a rank take none.
    """
    shuffled = rng.permutation(rows)
    bucket = batch_size * BUCKET_BATCHES
    batches = []
    for start in range(0, len(shuffled), bucket):
        part = shuffled[start : start + bucket]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < least:
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return [batches[place] for place in rng.permutation(len(batches))]
