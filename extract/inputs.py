"""Captions tokenised once, and batches in which captions of like length meet."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from extract.decode import Pictures

LENGTH_STEP = 8
"""Captions are padded to a multiple of this, so that a batch has one of few shapes."""
BUCKET_BATCHES = 16
"""Training rows are sorted by length within so many batches, and shuffled beyond."""


@dataclass(frozen=True)
class Captions:
    """The distinct captions of a table as token ids."""

    tokens: list[np.ndarray]
    """int64 arrays of their own lengths."""
    index: np.ndarray
    """int64 (N,): row -> caption."""
    pad_id: int
    """Token that fills captions up to their batch's length."""
    cut: int
    """Captions that were longer than allowed and lost their end."""

    def lengths(self) -> np.ndarray:
        """Tokens of each distinct caption, special ones included: int64."""
        return np.array([len(ids) for ids in self.tokens], dtype=np.int64)

    def padded(self, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """Ids and mask, int64 (B, L), of distinct captions; L is a multiple of LENGTH_STEP."""
        longest = padded_length(max(len(self.tokens[place]) for place in places))
        ids = torch.full((len(places), longest), self.pad_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, place in enumerate(places):
            caption = torch.from_numpy(self.tokens[place])
            ids[row, : len(caption)] = caption
            mask[row, : len(caption)] = 1
        return ids, mask


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


def tokenise(captions: list[str], tokenizer: Tokenizer, max_tokens: int, pad_id: int) -> Captions:
    """Tokenise each distinct caption once, cut to `max_tokens`, special tokens included."""
    place: dict[str, int] = {}
    index = np.array([place.setdefault(text, len(place)) for text in captions], dtype=np.int64)
    # A tokenizer.json can fix a padding and a truncation of its own.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    encoded = tokenizer.encode_batch(list(place))
    tokens = [np.array(item.ids, dtype=np.int64) for item in encoded]
    return Captions(tokens, index, pad_id, sum(bool(item.overflowing) for item in encoded))


def padded_length(length: int) -> int:
    """Round up to a multiple of LENGTH_STEP."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP


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
