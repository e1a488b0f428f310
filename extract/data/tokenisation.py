"""Captions tokenised once, padded batch by batch."""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

LENGTH_STEP = 8
"""Captions are padded to a multiple of this, so that a batch has one of few shapes."""


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
