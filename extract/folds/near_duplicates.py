"""Group near-duplicate memes, and find the placeholders, which link none."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from extract.data.image_decoding import Pictures
from extract.folds.near_captions import connect_captions, normalise_caption
from extract.folds.near_pictures import common_hashes, connect_hashes
from extract.tables.meme_table import MemeTable

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
    limit = max(MIN_PLACEHOLDER_ROWS, MAX_LINK_SHARE * len(table))
    picture, common_picture = _link_pictures(pictures, limit)
    caption, common_caption = _link_captions(table.rows["caption"].tolist(), limit)
    return Grouping(
        _connect_rows([picture, caption]), int(common_picture.sum()), int(common_caption.sum())
    )


def _link_pictures(pictures: Pictures, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what links each row, int64 (N,), -1 for nothing, and whether it is a placeholder.

    A placeholder is near the pictures of at least `limit` rows. Copies of it that were saved again
    differ in their bytes.
    """
    readable = np.array([bool(digest) for digest in pictures.digests])
    hashes, numbers = np.unique(pictures.hashes[readable], return_inverse=True)
    number = np.full(len(readable), -1)
    number[readable] = numbers
    rows = number[pictures.index]
    known = rows >= 0
    common = common_hashes(hashes, rows[known], limit)
    component = np.full(len(hashes), -1)
    component[~common] = connect_hashes(hashes[~common])
    link, placeholder = np.full(len(rows), -1), np.zeros(len(rows), dtype=bool)
    link[known], placeholder[known] = component[rows[known]], common[rows[known]]
    return link, placeholder


def _link_captions(captions: list[str], limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what links each row, int64 (N,), -1 for nothing, and whether it is a placeholder."""
    numbers: dict[str, int] = {}
    rows = np.array([numbers.setdefault(normalise_caption(c), len(numbers)) for c in captions])
    placeholder = (np.bincount(rows) >= limit)[rows]
    named = np.array([bool(text) for text in numbers])[rows]
    placeholder &= named
    return np.where(named & ~placeholder, connect_captions(list(numbers))[rows], -1), placeholder


def _connect_rows(links: list[np.ndarray]) -> np.ndarray:
    """Return the group of each row, int32 (N,): rows with an equal link are in one group.

    links: int64 (N,) each, -1 for none. Groups are numbered in order of first appearance.
    """
    count = size = len(links[0])
    edges = []
    # The nodes are rows and links.
    for link in links:
        row = np.flatnonzero(link >= 0)
        edges.append(np.stack([row, size + link[row]]))
        size += link.max(initial=-1) + 1
    row, node = np.concatenate(edges, axis=1)
    graph = coo_matrix((np.ones(len(row), dtype=bool), (row, node)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)
