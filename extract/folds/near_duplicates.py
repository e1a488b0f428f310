"""Find near-duplicates: perceptual hashes of pictures, word pairs (bigrams) of captions."""

import unicodedata
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from extract.data.image_decoding import Pictures
from extract.tables.meme_table import MemeTable

HASH_RADIUS = 8
"""Maximum number of bits, of 64, in which the hashes of near-duplicate pictures differ.

Measured on 3,544 memes (benchmarks/accuracy/hash_radius.py): up to 8 bits, all inspected pairs show
the same picture or template, and 74 of 354 test memes are linked. At 10 bits, one pair in nine is
unrelated; at 12, nearly half."""

MAX_PAIRS_IN_MEMORY = 2**22
"""Maximum number of pairs of pictures that are compared at a time: 32 MiB of hashes."""

CAPTION_OVERLAP = 0.6
"""Minimum Jaccard index of the word pairs of near-duplicate captions.

Measured on 3,544 memes: from 0.6 on, they are the same text transcribed differently or with a word
added, and the largest group has 16 memes. At 0.5, phrases such as "2020 be like" link different
memes, and the largest group has 56."""

MAX_LINK_SHARE = 0.05

MIN_PLACEHOLDER_ROWS = 20
"""A picture or caption in more than MAX_LINK_SHARE of the rows, and in at least this many, stands
for an absent one ("image no longer available"), so it links no memes. In one group they would be
held out together, and a fold would consist of them."""


class Grouping(NamedTuple):
    """Groups of near-duplicates, and the rows that a placeholder does not link."""

    group: np.ndarray
    """int32 (N,): number of each row's group, in order of first appearance."""
    pictures: int
    """Number of rows whose picture is a placeholder."""
    captions: int
    """Number of rows whose caption is a placeholder."""

    def remarks(self) -> list[str]:
        """Return a sentence for each kind of placeholder."""
        return [
            f"placeholders: {count} of {len(self.group)} rows have a {what} that more than "
            f"{MAX_LINK_SHARE:.0%} of all rows share. It does not link them as near-duplicates."
            for count, what in ((self.pictures, "picture"), (self.captions, "caption"))
            if count
        ]


def group_near_duplicates(table: MemeTable, pictures: Pictures) -> Grouping:
    """Group near-duplicate memes.

    Groups are connected components: two memes are linked if their pictures or captions are
    near-duplicates. What carries no information links no memes: the grey picture, a caption without
    letters or digits, and a placeholder.
    """
    rows = np.arange(len(table))
    captions, texts = _number_captions(table)
    near = _near_duplicate_pictures(pictures)
    known = np.array([bool(digest) for digest in pictures.digests])
    named = np.array([bool(text) for text in texts])
    limit = max(MIN_PLACEHOLDER_ROWS, MAX_LINK_SHARE * len(table))
    common_picture = known & (_rows_near_picture(pictures, near) >= limit)
    common_caption = named & (np.bincount(captions, minlength=len(texts)) >= limit)
    has_picture = (known & ~common_picture)[pictures.index]
    has_caption = (named & ~common_caption)[captions]
    near = near[:, ~common_picture[near].any(axis=0)]
    # The nodes are rows, pictures and captions. Each row is linked to its picture and caption.
    count, offset = len(table), len(table) + len(pictures.digests)
    edges = np.concatenate(
        [
            np.stack([rows, count + pictures.index])[:, has_picture],
            np.stack([rows, offset + captions])[:, has_caption],
            count + near,
            offset + near_duplicate_captions(texts),
        ],
        axis=1,
    )
    size = offset + len(texts)
    graph = coo_matrix((np.ones(edges.shape[1], dtype=bool), tuple(edges)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return Grouping(
        np.argsort(np.argsort(first))[inverse].astype(np.int32),
        int(common_picture[pictures.index].sum()),
        int(common_caption[captions].sum()),
    )


def _number_captions(table: MemeTable) -> tuple[np.ndarray, list[str]]:
    """Return each row's number of its normalised caption, int64 (N,), and these captions."""
    numbers: dict[str, int] = {}
    normalised = [normalise_caption(caption) for caption in table.rows["caption"]]
    index = np.array([numbers.setdefault(text, len(numbers)) for text in normalised])
    return index, list(numbers)


def _rows_near_picture(pictures: Pictures, near: np.ndarray) -> np.ndarray:
    """Return the number of rows with each picture or one near it: (P,).

    Copies of a placeholder that were saved again differ in their bytes.
    """
    rows_of_picture = np.bincount(pictures.index, minlength=len(pictures.digests))
    rows = rows_of_picture
    pairs = np.unique(np.sort(near[:, near[0] != near[1]], axis=0), axis=1)
    for one, other in (pairs, pairs[::-1]):
        rows = rows + np.bincount(one, rows_of_picture[other], len(rows))
    return rows


def normalise_caption(caption: str) -> str:
    """Return letters, marks and digits in lower case, with one space between words."""
    folded = unicodedata.normalize("NFKC", caption).casefold()
    # Marks are parts of words: without vowel signs, different Hindi captions would be equal.
    letters = [c if unicodedata.category(c)[0] in "LMN" else " " for c in folded]
    return " ".join("".join(letters).split())


def near_duplicate_captions(captions: list[str], block: int = 2048) -> np.ndarray:
    """Return pairs of distinct normalised captions that share CAPTION_OVERLAP of their word pairs.

    int64 (2, pairs), indices into `captions`. Captions of one word have no word pairs and are in no
    pair.
    """
    vectorizer = CountVectorizer(
        ngram_range=(2, 2), binary=True, token_pattern=r"\S+", lowercase=False, dtype=np.int32
    )
    try:
        word_pairs = vectorizer.fit_transform(captions)
    except ValueError:  # No caption has two words.
        return np.empty((2, 0), dtype=np.int64)
    size = np.asarray(word_pairs.sum(axis=1)).ravel()
    found = []
    for start in range(0, len(captions), block):
        shared = (word_pairs[start : start + block] @ word_pairs.T).tocoo()
        left, right = shared.row + start, shared.col
        near = shared.data >= CAPTION_OVERLAP * (size[left] + size[right] - shared.data)
        found.append(np.stack([left, right])[:, near & (left < right)].astype(np.int64))
    return np.concatenate(found, axis=1)


def _near_duplicate_pictures(pictures: Pictures) -> np.ndarray:
    """Return picture pairs within HASH_RADIUS, with repeats and self-pairs: int64 (2, pairs)."""
    readable = np.flatnonzero([bool(digest) for digest in pictures.digests])
    hashes = pictures.hashes[readable]
    pairs = [np.empty((2, 0), dtype=np.int64)]
    block = max(1, MAX_PAIRS_IN_MEMORY // max(1, len(hashes)))
    for start in range(0, len(hashes), block):
        near = np.bitwise_count(hashes[start : start + block, None] ^ hashes[start:])
        left, right = np.nonzero(near <= HASH_RADIUS)
        pairs.append(readable[np.stack([left, right]) + start])
    return np.concatenate(pairs, axis=1)
