"""Connect pictures with nearly the same perceptual hash, without comparing all pairs.

Two hashes of 64 bits that differ in at most 8 are equal in 3 of 11 parts, as each different bit is
in one part only. So they share a bucket if there is one for each choice of 3 parts and their value
(Manku, Jain and Das Sarma 2007, "Detecting near-duplicates for web crawling"; Norouzi, Punjani and
Fleet 2012, "Fast search in Hamming space with multi-index hashing"). The result is exact.
"""

from itertools import combinations

import numpy as np

from extract.folds.bucket_links import Items, link_buckets
from runtime.progress import progress

HASH_RADIUS = 8
"""Maximum number of bits, of 64, in which the hashes of near-duplicate pictures differ.

Measured on 3,544 memes (benchmarks/accuracy/hash_radius.py): up to 8 bits, all inspected pairs show
the same picture or template, and 74 of 354 test memes are linked. At 10 bits, one pair in nine is
unrelated; at 12, nearly half."""

EQUAL_PARTS = 3
"""Number of parts of a bucket. More make small buckets, but there are more of them to sort."""

FIRST_SAMPLE = 2048
"""Number of rows after which hashes are first decided to be common or not."""

LOG_ERROR = 27.6
"""A wrong decision before all rows are counted has a probability of at most exp(-27.6) = 1e-12."""

PAIRS_AT_A_TIME = 2**18
"""Maximum number of pairs of hashes that are compared at a time: 2 MiB."""


def connect_hashes(hashes: np.ndarray) -> np.ndarray:
    """Return the connected component, int64 (P,), of each hash, uint64 (P,), without repeats."""
    every = np.arange(len(hashes))
    items = Items(hashes, np.full(len(hashes), HASH_RADIUS / 2, dtype=np.float32))
    component = every
    choices = list(combinations(_parts(hashes), EQUAL_PARTS))
    with progress("near-duplicate pictures", len(choices), "passes") as advance:
        for parts in choices:
            bucket = np.zeros(len(hashes), dtype=np.int64)
            for part in parts:
                bucket = bucket << 6 | part
            component = link_buckets(component, items, bucket, every)
            advance(1)
    return component


def _parts(hashes: np.ndarray) -> list[np.ndarray]:
    """Divide each hash into HASH_RADIUS + EQUAL_PARTS parts of 5 or 6 bits: int64 (P,) each.

    Bits that are nearly always equal are dealt to different parts.
    """
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    order = np.argsort(np.abs(2 * bits.sum(axis=0, dtype=np.int64) - len(bits)), kind="stable")
    number = HASH_RADIUS + EQUAL_PARTS
    weights = [1 << np.arange(len(order[part::number])) for part in range(number)]
    return [bits[:, order[part::number]] @ weight for part, weight in enumerate(weights)]


def common_hashes(hashes: np.ndarray, index: np.ndarray, limit: float) -> np.ndarray:
    """Return which hashes, bool (P,), have at least `limit` rows within HASH_RADIUS.

    hashes: uint64 (P,). index: int64 (N,), the hash of each row.

    Rows are counted in a random order, twice as many in each step. A hash is decided once its count
    is far from what `limit` makes likely (Bernstein's inequality), so few are compared with all
    rows.
    """
    index = np.random.default_rng(0).permutation(index)
    count, common = np.zeros(len(hashes)), np.zeros(len(hashes), dtype=bool)
    undecided, start, stop = np.arange(len(hashes)), 0, FIRST_SAMPLE
    while start < len(index) and len(undecided):
        count[undecided] += _count_near(hashes[undecided], hashes[index[start:stop]])
        found = count[undecided]
        if stop >= len(index):
            common[undecided] = found >= limit
            break
        expected = limit * stop / len(index)
        margin = np.sqrt(2 * LOG_ERROR * expected)
        common[undecided] = found > expected + margin + LOG_ERROR * 2 / 3
        undecided = undecided[(found >= expected - margin) & ~common[undecided]]
        start, stop = stop, 2 * stop
    return common


def _count_near(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how many of `others`, uint64 (K,), are within HASH_RADIUS of each hash: int64 (P,)."""
    counts = np.zeros(len(hashes), dtype=np.int64)
    block = max(1, PAIRS_AT_A_TIME // max(1, len(others)))
    for start in range(0, len(hashes), block):
        bits = np.bitwise_count(hashes[start : start + block, None] ^ others)
        counts[start : start + block] = np.count_nonzero(bits <= HASH_RADIUS, axis=1)
    return counts
