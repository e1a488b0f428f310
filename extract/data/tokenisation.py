"""Tokenise captions once; pad them batch by batch."""

from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from extract.data.token_counts import own_tokens, unknown_token

LENGTH_STEP = 8
"""Captions are padded to a multiple of this length, so that batches have few shapes."""


@dataclass(frozen=True)
class Captions:
    """The distinct captions of a table as token ids."""

    tokens: list[np.ndarray]
    """Token ids of each caption: int64 (length,)."""
    index: np.ndarray
    """int64 (N,): row -> caption."""
    pad_id: int
    """Padding token."""
    truncated: int
    """Number of captions that were truncated because they were too long."""
    unknown: float = 0.0
    """Share of tokens, without special ones, that the tokenizer does not know."""

    def lengths(self) -> np.ndarray:
        """Return the number of tokens of each distinct caption, with special tokens: int64."""
        return np.array([len(ids) for ids in self.tokens], dtype=np.int64)

    def padded_batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids and attention mask of distinct captions: int64 (B, L).

        L is the length of the longest one, rounded up to a multiple of LENGTH_STEP.
        """
        longest = padded_length(max(len(self.tokens[index]) for index in indices))
        ids = np.full((len(indices), longest), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(indices):
            caption = self.tokens[index]
            ids[row, : len(caption)] = caption
            mask[row, : len(caption)] = 1
        return ids, mask


def tokenise(captions: list[str], tokenizer: Tokenizer, max_tokens: int, pad_id: int) -> Captions:
    """Tokenise each distinct caption once, truncated to `max_tokens` with special tokens."""
    numbers: dict[str, int] = {}
    index = np.array([numbers.setdefault(text, len(numbers)) for text in captions], dtype=np.int64)
    # tokenizer.json may define padding and truncation.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    encoded = tokenizer.encode_batch(list(numbers))
    tokens = [np.array(item.ids, dtype=np.int64) for item in encoded]
    truncated = sum(bool(item.overflowing) for item in encoded)
    return Captions(tokens, index, pad_id, truncated, _unknown_share(encoded, tokenizer))


def _unknown_share(encoded: list[Encoding], tokenizer: Tokenizer) -> float:
    """Return the share of unknown tokens. Tokenizers of bytes or characters have none."""
    unknown = unknown_token(tokenizer)
    if unknown is None:
        return 0.0
    own = [token for item in encoded for token in own_tokens(item, unknown)]
    return own.count(unknown) / max(1, len(own))


def padded_length(length: int) -> int:
    """Round up to a multiple of LENGTH_STEP."""
    return -(-length // LENGTH_STEP) * LENGTH_STEP
