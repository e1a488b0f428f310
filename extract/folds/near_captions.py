"""Connect captions with nearly the same word pairs (bigrams), without comparing all pairs.

Order the word pairs of each caption from rare to frequent. Two captions that share enough of them
share one of their first few, so only captions that do are compared (prefix filter: Bayardo, Ma and
Srikant 2007, "Scaling up all pairs similarity search"). The caption with fewer word pairs needs an
even shorter prefix (Xiao, Wang, Lin and Yu 2008, "Efficient similarity joins for near duplicate
detection"). The parity of hashed word pairs in 64 bits excludes most of the rest (Sandes, Teodoro
and Melo 2020, "Bitmap filter"). The result is exact.
"""

import unicodedata
from array import array
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from extract.folds.bucket_links import Items, link_buckets
from runtime.progress import progress

CAPTION_OVERLAP = 0.6
"""Minimum Jaccard index of the word pairs of near-duplicate captions.

Measured on 3,544 memes: from 0.6 on, they are the same text transcribed differently or with a word
added, and the largest group has 16 memes. At 0.5, phrases such as "2020 be like" link different
memes, and the largest group has 56."""

ENTRIES_AT_A_TIME = 2**19
"""Approximate number of word pairs in prefixes that are searched at a time."""

VERIFIED_AT_A_TIME = 2**17
"""Maximum number of pairs of captions whose word pairs are counted at a time."""

TOLERANCE = 1e-3
"""Bounds are looser by this, so that rounding excludes no near captions."""


class WordPairs(NamedTuple):
    """The M distinct word pairs of N captions, sorted by caption and from rare to frequent."""

    caption: np.ndarray
    """int64 (M,)"""
    rank: np.ndarray
    """int64 (M,): number of the word pair; the rarest is 0."""
    times: np.ndarray
    """int64 (V,): how often each word pair occurs, by rank."""


def normalise_caption(caption: str) -> str:
    """Return letters, marks and digits in lower case, with one space between words."""
    folded = unicodedata.normalize("NFKC", caption).casefold()
    # Marks are parts of words: without vowel signs, different Hindi captions would be equal.
    letters = [c if unicodedata.category(c)[0] in "LMN" else " " for c in folded]
    return " ".join("".join(letters).split())


def connect_captions(captions: list[str]) -> np.ndarray:
    """Return the connected component, int64 (N,), of each distinct normalised caption.

    Two captions are linked if the Jaccard index of their sets of word pairs is at least
    CAPTION_OVERLAP. A caption of one word has no word pairs and is linked to none.
    """
    component = np.arange(len(captions))
    pairs = _word_pairs(captions)
    size = np.bincount(pairs.caption, minlength=len(captions))
    items = _as_items(pairs, size)
    # Number of word pairs from each one on. A near caption shares at least CAPTION_OVERLAP of them.
    remaining = np.cumsum(size)[pairs.caption] - np.arange(len(pairs.caption))
    searched = remaining >= CAPTION_OVERLAP * size[pairs.caption] - TOLERANCE
    searched &= pairs.times[pairs.rank] > 1
    caption, rank = pairs.caption[searched], pairs.rank[searched]
    # If this is the first word pair that two captions share, they share at most the remaining ones.
    limit = (1 - CAPTION_OVERLAP) / CAPTION_OVERLAP * remaining[searched] + 3 * TOLERANCE
    with progress("near-duplicate captions", len(rank), "word pairs") as advance:
        for part in _blocks(rank):
            found = rank[part], caption[part], limit[part].astype(np.float32)
            component = link_buckets(component, items, *found)
            advance(len(part))
    return component


def _word_pairs(captions: list[str]) -> WordPairs:
    number: dict[str, int] = {}
    flat, lengths = array("q"), array("q")
    for caption in captions:
        words = caption.split()
        flat.extend([number.setdefault(word, len(number)) for word in words])
        lengths.append(len(words))
    word, owner = np.array(flat), np.repeat(np.arange(len(captions)), np.array(lengths))
    inside = owner[1:] == owner[:-1]
    pair = (word[:-1] * len(number) + word[1:])[inside]
    _, kind, times = np.unique(pair, return_inverse=True, return_counts=True)
    by_rarity = np.argsort(times, kind="stable")
    rank = np.empty_like(by_rarity)
    rank[by_rarity] = np.arange(len(rank))
    distinct = np.unique(owner[1:][inside] * len(rank) + rank[kind])
    return WordPairs(*np.divmod(distinct, max(1, len(rank))), times[by_rarity])


def _as_items(pairs: WordPairs, size: np.ndarray) -> Items:
    """Return captions as items.

    Sets of a and b elements have a Jaccard index of at least t if at most (1 - t) / (1 + t) (a + b)
    elements are in one of them only. Each changes one bit of the parity.
    """
    signature = np.zeros(len(size), dtype=np.uint64)
    bit = np.uint64(1) << (pairs.rank % 64).astype(np.uint64)
    np.bitwise_xor.at(signature, pairs.caption, bit)
    radius = (1 - CAPTION_OVERLAP) / (1 + CAPTION_OVERLAP) * size + TOLERANCE
    start = np.concatenate([[0], np.cumsum(size)])
    shape = (len(size), len(pairs.times))
    sets = csr_matrix((np.ones(len(pairs.rank), np.int32), pairs.rank, start), shape=shape)

    def verify(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        shared = [
            np.asarray(sets[one[at]].multiply(sets[other[at]]).sum(axis=1)).ravel()
            for at in _slices(len(one))
        ]
        shared = np.concatenate(shared)
        return shared >= CAPTION_OVERLAP * (size[one] + size[other] - shared)

    return Items(signature, radius.astype(np.float32), verify)


def _slices(count: int) -> list[slice]:
    starts = range(0, count, VERIFIED_AT_A_TIME)
    return [slice(start, start + VERIFIED_AT_A_TIME) for start in starts]


def _blocks(rank: np.ndarray) -> list[np.ndarray]:
    """Divide the entries, from rare to frequent, where the word pair changes."""
    order = np.argsort(rank, kind="stable")
    bounds = np.searchsorted(rank[order], np.unique(rank[order][::ENTRIES_AT_A_TIME]))
    return [part for part in np.split(order, bounds) if len(part)]
