"""Connect near items, comparing only those that share a bucket.

The caller puts near items into a common bucket, such as those that have part of a hash in common.
The result is connected components, not pairs, so that many items which are all near each other cost
little: a bucket whose items are connected already is skipped, and in a large bucket, an item that
was reached is not compared again.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LARGE_BUCKET = 256
"""Buckets with more items are searched one by one, smaller ones all at once."""

PAIRS_AT_A_TIME = 2**18
"""Maximum number of pairs of a large bucket that are compared at a time: 2 MiB of signatures."""


class Items(NamedTuple):
    """N items. Two are near if their signatures differ in few bits and `verify` confirms it."""

    signature: np.ndarray
    """uint64 (N,)"""
    radius: np.ndarray
    """float32 (N,): the signatures of near items differ in at most the sum of both radii."""
    verify: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """Maps pairs of items, two of int64 (P,), to whether they are near, bool (P,). None: all."""


class Entries(NamedTuple):
    """M entries, sorted by bucket. Each puts one item into one bucket."""

    items: Items
    item: np.ndarray
    """int64 (M,)"""
    component: np.ndarray
    """int64 (M,): component of the item."""
    signature: np.ndarray
    """uint64 (M,)"""
    radius: np.ndarray
    """float32 (M,)"""
    limit: np.ndarray | None
    """float32 (M,), as in `link_buckets`."""

    def similar(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether pairs of entries are compared and have similar signatures. Shapes broadcast."""
        bits = np.bitwise_count(self.signature[one] ^ self.signature[other])
        total = self.radius[one] + self.radius[other]
        found = bits <= total
        if self.limit is not None:
            found &= (total <= self.limit[one]) & (total <= self.limit[other])
        return found

    def near(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return which of the pairs of similar entries are near: int64 (2, pairs)."""
        pairs, verify = np.stack([one, other]), self.items.verify
        return pairs[:, verify(*self.item[pairs])] if verify and pairs.size else pairs


def link_buckets(
    component: np.ndarray,
    items: Items,
    bucket: np.ndarray,
    item: np.ndarray,
    limit: np.ndarray | None = None,
) -> np.ndarray:
    """Return the components, int64 (N,), after near items with a common bucket were connected.

    component: int64 (N,), the components so far.
    bucket, item: int64 (M,), each entry puts an item into a bucket, 0 to 2**32 - 1.
    limit: float32 (M,), the largest sum of radii for which an entry is compared with another. None:
        it is compared with all.
    """
    # Keys of 16 bits are sorted by radix: several times as fast as argsort.
    order = np.lexsort([bucket.astype(np.uint16), (bucket >> 16).astype(np.uint16)])
    bucket, item = bucket[order], item[order]
    signature, radius = items.signature[item], items.radius[item]
    limit = None if limit is None else limit[order]
    entries = Entries(items, item, component[item], signature, radius, limit)
    start, count = _open_buckets(bucket, entries)
    large = count > LARGE_BUCKET
    pairs = [np.empty((2, 0), dtype=np.int64)]
    pairs += _links_in_small_buckets(entries, start[~large], count[~large])
    for first, size in zip(start[large], count[large], strict=True):
        pairs += _links_in_large_bucket(entries, np.arange(first, first + size))
    return _connect(component, entries.component[np.concatenate(pairs, axis=1)])


def _open_buckets(bucket: np.ndarray, entries: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Return start and size of the buckets that may connect components."""
    same = bucket[1:] == bucket[:-1]
    start = np.flatnonzero(np.concatenate([[True], ~same])[: len(bucket)])
    count = np.diff(start, append=len(bucket))
    changes = same & (entries.component[1:] != entries.component[:-1])
    changes_before = np.concatenate([[0], np.cumsum(changes)])
    opened = changes_before[start + count - 1] > changes_before[start]
    if entries.limit is not None:
        # Of two entries, the one with the smaller radius is within its limit for its own radius.
        leads_before = np.concatenate([[0], np.cumsum(2 * entries.radius <= entries.limit)])
        opened &= leads_before[start + count] > leads_before[start]
    return start[opened], count[opened]


def _links_in_small_buckets(
    entries: Entries, start: np.ndarray, count: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield near pairs of entries, int64 (2, pairs): those `step` apart, for each step."""
    end = np.repeat(start + count, count)
    entry = np.arange(len(end)) + np.repeat(start - np.cumsum(count) + count, count)
    for step in range(1, int(count.max(initial=0))):
        inside = entry + step < end
        entry, end = entry[inside], end[inside]
        other = entry + step
        similar = entries.similar(entry, other)
        similar &= entries.component[entry] != entries.component[other]
        yield entries.near(entry[similar], other[similar])


def _links_in_large_bucket(entries: Entries, bucket: np.ndarray) -> Iterator[np.ndarray]:
    """Yield links, int64 (2, links), between entries: breadth-first search of each component."""
    left, component = _comparable(entries, bucket), entries.component
    while len(left := _skip_lone(entries, left)):
        seed, frontier = left[0], left[component[left] == component[left[0]]]
        while len(frontier):
            left = left[~np.isin(component[left], component[frontier])]
            reached = _reach(entries, frontier, left)
            yield np.stack([np.full(len(reached), seed), reached])
            frontier = left[np.isin(component[left], component[reached])]


def _comparable(entries: Entries, bucket: np.ndarray) -> np.ndarray:
    """Return the entries whose limit allows a comparison with at least one entry."""
    if entries.limit is None:
        return bucket
    kinds = np.stack([entries.radius[bucket], entries.limit[bucket]])
    (radius, limit), kind = np.unique(kinds, axis=1, return_inverse=True)
    total = radius[:, None] + radius
    return bucket[((total <= limit[:, None]) & (total <= limit)).any(axis=1)[kind]]


def _skip_lone(entries: Entries, left: np.ndarray) -> np.ndarray:
    """Drop entries from the front, up to the first that is similar to one besides itself."""
    count = 1
    while len(left):
        similar = entries.similar(left[:count, None], left)
        np.fill_diagonal(similar, False)
        together = np.flatnonzero(similar.any(axis=1))
        if len(together):
            return left[together[0] :]
        left = left[count:]
        count = min(2 * count, max(1, PAIRS_AT_A_TIME // max(1, len(left))))
    return left


def _reach(entries: Entries, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return entries of `targets`, from all components with one that is near one of `sources`."""
    found = [targets[:0]]
    start = 0
    while start < len(sources) and len(targets):
        block = sources[start : start + max(1, PAIRS_AT_A_TIME // len(targets))]
        start += len(block)
        near = _near_any(entries, block, targets)
        found.append(targets[near])
        targets = targets[~near]
    return np.concatenate(found)


def _near_any(entries: Entries, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return which targets, bool, are near at least one source."""
    similar = entries.similar(sources[:, None], targets)
    if not entries.items.verify:
        return similar.any(axis=0)
    source, target = np.nonzero(similar)
    return np.isin(targets, entries.near(sources[source], targets[target])[1])


def _connect(component: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Return the components after those in links, int64 (2, links), were joined."""
    if not links.size:
        return component
    names, node = np.unique(links, return_inverse=True)
    shape = (len(names), len(names))
    graph = coo_matrix((np.ones(links.shape[1], dtype=bool), tuple(node)), shape=shape)
    _, joined = connected_components(graph, directed=False)
    renamed = np.arange(len(component))
    renamed[names] = names[np.unique(joined, return_index=True)[1]][joined]
    return renamed[component]
