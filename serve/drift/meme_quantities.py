"""The quantities of a meme that are compared, and its distance to the training memes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from extract.data.token_counts import token_counts
from extract.spaces.checkpoint import names_of_spaces
from runtime.errors import user_error_if_damaged

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from features.feature_table import FeatureTable
    from heads.fitting.pca_projection import Projection

SPACE = "pretrained"
"""The space in which memes are compared: it uses no labels."""

PROBABILITY, CAPTION, UNKNOWN, DISTANCE = "probability", "caption_tokens", "unknown", "distance"

QUANTITIES = (PROBABILITY, CAPTION, UNKNOWN, DISTANCE)
"""Columns of an array of quantities: the probability with the prior TRAINED; tokens of the caption;
share of unknown ones among them; 1 - cosine to the nearest training meme, NaN without SPACE."""

ROWS_AT_ONCE = 512
"""To bound the memory of the comparison with training memes."""


@dataclass(frozen=True)
class Measures:
    """Measures the quantities of new memes. Threads may share it."""

    tokenizer: "Tokenizer"
    projection: "Projection | None"
    """Of SPACE; None if the run lacks it."""
    training: np.ndarray
    """float32 (T, columns): unit vectors of training memes."""

    def measure(
        self, captions: list[str], table: "FeatureTable", probability: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keys and caption keys, uint64 (N,) each, and quantities float64 (N, 4).

        Keys are equal for equal memes, caption keys as `caption_keys` says.

        `table` holds the embeddings of the memes; `probability` (N,) has the prior TRAINED.
        """
        distance = np.full(len(captions), np.nan)
        if self.projection is not None:
            space = next(one for one in table.spaces if one.name == SPACE)
            columns = unit_vectors(self.projection.apply(space.image, space.text))
            distance = 1 - nearest_similarity(columns, self.training)
        keys = meme_keys(captions, table.spaces[0].image)
        tokens = caption_quantities(captions, self.tokenizer)
        quantities = np.column_stack([probability, *tokens, distance])
        return keys, caption_keys(captions, keys), quantities


def meme_keys(captions: list[str], columns: np.ndarray) -> np.ndarray:
    """Hash captions and columns (N, width), such as pictures' embeddings: uint64 (N,)."""
    contents = zip(captions, columns, strict=True)
    hashes = [
        xxhash.xxh3_64_intdigest(caption.encode(errors="replace") + row.tobytes())
        for caption, row in contents
    ]
    return np.array(hashes, dtype=np.uint64)


def caption_keys(captions: list[str], keys: np.ndarray) -> np.ndarray:
    """Return uint64 (N,), equal for captions with equal words; of wordless memes, their `keys`."""
    # Imported here: scipy takes a while, and mistakes are refused before.
    from extract.folds.near_captions import normalise_caption

    words = [normalise_caption(caption).encode() for caption in captions]
    pairs = zip(words, keys.tolist(), strict=True)
    hashes = [xxhash.xxh3_64_intdigest(text) if text else key for text, key in pairs]
    return np.array(hashes, dtype=np.uint64)


def one_per_caption(caption_keys: np.ndarray) -> np.ndarray:
    """Return the first row of each caption, and all rows of a caption that is a placeholder.

    int64, ascending. Memes with equal captions are mostly near-duplicates, and a test that counts
    each has too small a p. Not placeholders: that many memes have one is drift.
    """
    from extract.folds.near_duplicates import MAX_LINK_SHARE, MIN_PLACEHOLDER_ROWS

    _, first, caption = np.unique(caption_keys, return_index=True, return_inverse=True)
    limit = max(MIN_PLACEHOLDER_ROWS, MAX_LINK_SHARE * len(caption))
    kept = (np.bincount(caption) >= limit)[caption]
    kept[first] = True
    return np.flatnonzero(kept)


def caption_quantities(
    captions: list[str], tokenizer: "Tokenizer"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of tokens of each caption and the share of unknown ones: float64 (N,)."""
    lengths, unknown = token_counts(captions, tokenizer)
    return lengths.astype(np.float64), unknown / np.maximum(lengths, 1)


def nearest_similarity(
    columns: np.ndarray, training: np.ndarray, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Return the cosine of each row to the nearest training meme: float32 (N,).

    Both float32 unit vectors. `excluded` is (numbers of N rows, numbers of T training memes), of
    which equal ones, such as those of near-duplicates, are not compared.
    """
    found = np.full(len(columns), -1, dtype=np.float32)
    for rows in _blocks(len(columns)):
        similarity = columns[rows] @ training.T
        if excluded is not None:
            own, others = excluded
            similarity[own[rows][:, None] == others[None, :]] = -1
        found[rows] = similarity.max(axis=1, initial=-1)
    return found


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield slice(start, start + ROWS_AT_ONCE)


def unit_vectors(columns: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays."""
    return columns / np.maximum(np.linalg.norm(columns, axis=1, keepdims=True), 1e-12)


def load_tokenizer(backbones: Path) -> "Tokenizer":
    """Load the tokenizer of a run, set to truncate no caption. Raises UserError if damaged."""
    from tokenizers import Tokenizer

    names = names_of_spaces(backbones)
    # Fine-tuned spaces and the pretrained one have the same.
    path = backbones / (SPACE if SPACE in names else min(names)) / "text" / "tokenizer.json"
    with user_error_if_damaged(path, "Run: python pipeline.py extract"):
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
