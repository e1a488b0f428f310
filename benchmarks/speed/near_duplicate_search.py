"""Time and memory of the search for near-duplicates on made-up memes.

    python -m benchmarks.speed.near_duplicate_search --memes 100000 --against-all-pairs

The memes have the shapes that make such a search slow: a picture template and a phrase that a tenth
of all memes share, many smaller templates, edited captions, and half of them unrelated.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import CountVectorizer

from benchmarks.command_line import run_command
from extract.data.image_decoding import Pictures
from extract.folds import near_duplicates
from extract.folds.near_captions import CAPTION_OVERLAP
from extract.folds.near_pictures import HASH_RADIUS
from extract.tables.meme_table import MemeTable
from runtime.progress import log

COMMON_SHARE = 0.1
"""Share of the memes with the most frequent template, and share of those with PHRASE."""
PHRASE = "nobody absolutely nobody me when"
VOCABULARY = 20_000
BLOCK = 2**22
"""Number of pairs that are compared at a time."""


def main(
    memes: Annotated[int, typer.Option(help="Number of memes.", min=100)] = 100_000,
    against_all_pairs: Annotated[
        bool, typer.Option(help="Also compare all pairs; fail if the groups differ.")
    ] = False,
) -> None:
    """Print seconds by step, peak memory, and JSON on the last line of stdout."""
    rng = np.random.default_rng(0)
    table = make_table(make_captions(memes, rng))
    pictures = make_pictures(memes, rng)
    before = peak_mib()
    seconds, found = search(table, pictures, {})
    report = {"memes": memes, "seconds": seconds, "groups": int(found.group.max()) + 1}
    report |= {"placeholder_rows": found.pictures, "mib_before": before, "mib_peak": peak_mib()}
    print_report(report)
    if against_all_pairs:
        report["all_pairs_seconds"], expected = search(table, pictures, ALL_PAIRS)
        print_report({"all pairs, seconds": report["all_pairs_seconds"]})
        if not np.array_equal(found.group, expected.group) or found[1:] != expected[1:]:
            sys.exit("the groups differ")
        print("the groups are equal")
    print(json.dumps(report))


def make_pictures(count: int, rng: np.random.Generator) -> Pictures:
    """Make up the hashes of pictures, all with different files.

    Half are unrelated, a tenth are edits of one template, and the rest are edits of count / 20
    templates with frequencies as in Zipf's law. An edit changes up to 8 % of the bits.
    """
    templates = balanced_hashes(max(2, count // 20), rng)
    weight = 1 / np.arange(1, len(templates) + 1)
    weight[0] = 0
    choice = rng.choice(len(templates), count, p=weight / weight.sum())
    kind = rng.random(count)
    choice[kind < COMMON_SHARE] = 0
    hashes = templates[choice] ^ edits(count, rng)
    unrelated = kind >= 0.5
    hashes[unrelated] = balanced_hashes(int(unrelated.sum()), rng)
    digests = [str(number) for number in range(count)]
    return Pictures(np.empty(0, dtype=np.uint8), hashes, digests, np.arange(count))


def balanced_hashes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw uint64 (count,) with 32 ones each, as a perceptual hash has."""
    bits = np.repeat([[0, 1]], [32, 32], axis=1).astype(np.uint8)
    return as_hashes(rng.permuted(np.repeat(bits, count, axis=0), axis=1))


def edits(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the bits that an edit changes: uint64 (count,)."""
    share = rng.uniform(0, 0.08, (count, 1)).astype(np.float32)
    return as_hashes(rng.random((count, 64), dtype=np.float32) < share)


def as_hashes(bits: np.ndarray) -> np.ndarray:
    """Pack bits (N, 64) into uint64 (N,)."""
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def make_captions(count: int, rng: np.random.Generator) -> list[str]:
    """Make up captions of 2 to 15 words. The most frequent word makes up 4 % of all, as "the" does.

    A tenth begin with PHRASE, a tenth are an earlier caption with one word replaced, a twentieth
    are an earlier caption, and a twentieth have two to four frequent words.
    """
    captions: list[str] = []
    for length, kind in zip(rng.integers(2, 16, count), rng.random(count), strict=True):
        words = draw_words(length, VOCABULARY, rng)
        if kind < COMMON_SHARE:
            words = [PHRASE, *words[:8]]
        elif kind < 0.25 and captions:
            words = captions[rng.integers(len(captions))].split()
            if kind < 0.2:
                words[rng.integers(len(words))] = draw_words(1, VOCABULARY, rng)[0]
        elif kind < 0.3:
            words = draw_words(2 + length // 6, 100, rng)
        captions.append(" ".join(words))
    return captions


def draw_words(count: int, vocabulary: int, rng: np.random.Generator) -> list[str]:
    """Draw words, the first ones of the vocabulary most often."""
    return [f"w{int(number)}" for number in vocabulary * rng.random(count) ** 3]


def make_table(captions: list[str]) -> MemeTable:
    """Return a table with only captions, which is all that the search reads."""
    return MemeTable(pd.DataFrame({"caption": captions}), "id", "label")


def search(
    table: MemeTable, pictures: Pictures, replaced: dict[str, Callable]
) -> tuple[dict[str, float], near_duplicates.Grouping]:
    """Group the memes, with some steps replaced; return seconds by step, and the groups."""
    steps = {name: getattr(near_duplicates, name) for name in ALL_PAIRS}
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    try:
        for name, step in steps.items():
            setattr(near_duplicates, name, timed(replaced.get(name, step), name, seconds))
        found = near_duplicates.group_near_duplicates(table, pictures)
    finally:
        for name, step in steps.items():
            setattr(near_duplicates, name, step)
    seconds["total"] = time.perf_counter() - start
    return {name: round(value, 1) for name, value in seconds.items()}, found


def timed(step: Callable, name: str, seconds: dict[str, float]) -> Callable:
    """Return the step, which also writes its seconds."""

    def run(*args: object) -> np.ndarray:
        start = time.perf_counter()
        result = step(*args)
        seconds[name] = time.perf_counter() - start
        return result

    return run


def common_hashes(hashes: np.ndarray, index: np.ndarray, limit: float) -> np.ndarray:
    """Count the rows near each hash, by comparing all pairs of hashes."""
    rows = np.bincount(index, minlength=len(hashes))
    near = [(bits <= HASH_RADIUS) @ rows for _, bits in distances(hashes)]
    return np.concatenate(near) >= limit


def connect_hashes(hashes: np.ndarray) -> np.ndarray:
    """Connect near hashes, by comparing all pairs."""
    found = []
    for start, bits in distances(hashes):
        one, other = np.nonzero(bits <= HASH_RADIUS)
        found.append(np.stack([one + start, other])[:, one + start < other].astype(np.int32))
    return components(np.concatenate(found, axis=1), len(hashes))


def distances(hashes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row of each block, and its differing bits: uint8 (block, P)."""
    block = max(1, BLOCK // len(hashes))
    for start in range(0, len(hashes), block):
        yield start, np.bitwise_count(hashes[start : start + block, None] ^ hashes)


def connect_captions(captions: list[str], block: int = 2048) -> np.ndarray:
    """Connect near captions, by multiplying the matrix of word pairs by its transpose."""
    vectorizer = CountVectorizer(
        ngram_range=(2, 2), binary=True, token_pattern=r"\S+", lowercase=False, dtype=np.int32
    )
    pairs = vectorizer.fit_transform(captions)
    size = np.asarray(pairs.sum(axis=1)).ravel()
    found = []
    for start in range(0, len(captions), block):
        shared = (pairs[start : start + block] @ pairs.T).tocoo()
        one, other = shared.row + start, shared.col
        near = shared.data >= CAPTION_OVERLAP * (size[one] + size[other] - shared.data)
        found.append(np.stack([one, other])[:, near & (one < other)])
    return components(np.concatenate(found, axis=1), len(captions))


def components(links: np.ndarray, count: int) -> np.ndarray:
    """Return the connected component of each of `count` nodes."""
    graph = coo_matrix((np.ones(links.shape[1], dtype=bool), tuple(links)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


ALL_PAIRS = {
    "common_hashes": common_hashes,
    "connect_hashes": connect_hashes,
    "connect_captions": connect_captions,
}
"""Steps of `group_near_duplicates`, by name, as they would be if all pairs were compared."""


def peak_mib() -> int:
    """Peak memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def print_report(report: dict[str, Any]) -> None:
    """Print one line for each value, to stderr."""
    for name, value in report.items():
        log(f"{name}: {value}")


if __name__ == "__main__":
    run_command(main)
