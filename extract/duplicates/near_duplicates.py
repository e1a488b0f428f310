"""Which memes are near-duplicates: perceptual hashes of pictures, word pairs of captions."""

import unicodedata

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from extract.data.image_decoding import Pictures
from extract.data.meme_table import MemeTable

HASH_RADIUS = 8
"""Bits of 64 in which two perceptual hashes may differ. Measured on a set of 3,544 memes
(benchmarks/hash_radius.py): up to 8 bits apart, all pairs looked at show one picture or one
template, and link 74 of 354 test memes; at 10 one pair in nine is unrelated, at 12 nearly half."""

COMPARED_AT_ONCE = 2**22
"""Pairs of pictures whose hashes are held at a time: 32 MiB."""

CAPTION_OVERLAP = 0.6
"""Shared part of all word pairs from which two captions are near-duplicates (Jaccard). Measured on
3,544 memes: from 0.6 on they are one text read differently or with a word added, and the largest
group has 16 memes; at 0.5, phrases such as "2020 be like" link other memes, and it has 56."""


def group_memes(table: MemeTable, pictures: Pictures) -> np.ndarray:
    """Number the groups of near-duplicates: int32 (N,), in order of first appearance.

    Two memes are in one group if a chain leads from one to the other, each step a near-identical
    picture or caption. The grey picture and the empty caption, which stand in for what could not be
    read, link nothing.
    """
    rows = np.arange(len(table))
    normal = [normalise_caption(caption) for caption in table.rows["caption"]]
    names: dict[str, int] = {}
    captions = np.array([names.setdefault(name, len(names)) for name in normal])
    linked_caption = np.array([bool(name) for name in normal])
    linked_picture = np.array([bool(pictures.digests[place]) for place in pictures.index])
    # Graph of rows, pictures and captions: rows hang on their picture and their caption.
    count, offset = len(table), len(table) + len(pictures.digests)
    near = _near_pairs(pictures)
    ends = np.concatenate(
        [
            np.stack([rows, count + pictures.index])[:, linked_picture],
            np.stack([rows, offset + captions])[:, linked_caption],
            count + near,
            offset + near_captions(list(names)),
        ],
        axis=1,
    )
    size = offset + len(names)
    graph = coo_matrix((np.ones(ends.shape[1], dtype=bool), tuple(ends)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)


def normalise_caption(caption: str) -> str:
    """Letters and digits in lower case, one space between words."""
    folded = unicodedata.normalize("NFKC", caption).casefold()
    # Marks belong to words: without its vowel signs, a Hindi caption would equal others.
    kept = [c if unicodedata.category(c)[0] in "LMN" else " " for c in folded]
    return " ".join("".join(kept).split())


def near_captions(captions: list[str], block: int = 2048) -> np.ndarray:
    """Pairs of distinct normalised captions that share CAPTION_OVERLAP of their word pairs.

    int64 (2, pairs), numbers of captions. Captions of one word are compared by equality alone.
    """
    pairs = CountVectorizer(
        ngram_range=(2, 2), binary=True, token_pattern=r"\S+", lowercase=False, dtype=np.int32
    )
    try:
        words = pairs.fit_transform(captions)
    except ValueError:  # no caption has two words
        return np.empty((2, 0), dtype=np.int64)
    size = np.asarray(words.sum(axis=1)).ravel()
    found = []
    for start in range(0, len(captions), block):
        common = (words[start : start + block] @ words.T).tocoo()
        left, right = common.row + start, common.col
        near = common.data >= CAPTION_OVERLAP * (size[left] + size[right] - common.data)
        found.append(np.stack([left, right])[:, near & (left < right)].astype(np.int64))
    return np.concatenate(found, axis=1)


def _near_pairs(pictures: Pictures) -> np.ndarray:
    """Pairs of distinct pictures within HASH_RADIUS, the first of each first: int64 (2, pairs)."""
    readable = np.flatnonzero([bool(digest) for digest in pictures.digests])
    hashes = pictures.hashes[readable]
    pairs = [np.empty((2, 0), dtype=np.int64)]
    block = max(1, COMPARED_AT_ONCE // max(1, len(hashes)))
    for start in range(0, len(hashes), block):
        near = np.bitwise_count(hashes[start : start + block, None] ^ hashes[start:])
        left, right = np.nonzero(near <= HASH_RADIUS)
        pairs.append(readable[np.stack([left, right]) + start])
    return np.concatenate(pairs, axis=1)
