"""How far apart the perceptual hashes of two near-identical pictures may be: what data says.

python -m benchmarks.hash_radius --data DIR --sheet sheet.png
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageOps
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from extract.data.image_decoding import decode_pictures, open_picture
from extract.data.read_memes import read_memes
from extract.duplicates.near_duplicates import HASH_RADIUS, normalise_caption
from runtime.errors import UserError
from runtime.progress import log, progress

RADII = range(0, 21, 2)
"""A bin holds its radius and the bits below it down to the last one. As a hash sets as many bits
as it clears, save for ties, odd distances are rare."""
SIZE = 64
"""Side at which pixels are compared."""
MEASURED_PAIRS = 10_000
"""Of more pairs in a bin, so many are drawn to be measured."""
SHOWN_PAIRS, TILE, GAP, LINE = 8, 120, 12, 18
"""Of the contact sheet: pairs in a row, and pixels."""


@dataclass(frozen=True)
class Distinct:
    """The P distinct pictures, each with the caption and the label of the first row it is in."""

    pixels: np.ndarray
    """uint8 (P, 3, SIZE, SIZE)."""
    hashes: np.ndarray
    """uint64 (P,)."""
    words: list[frozenset[str]]
    """Of the normalised captions."""
    label: np.ndarray
    """int8 (P,): -1 for test, whose labels are not to choose anything by."""
    path: list[str]


@dataclass(frozen=True)
class Pairs:
    """Pairs of distinct pictures, nearest first."""

    ends: np.ndarray
    """int64 (2, pairs)."""
    distance: np.ndarray
    """uint8 (pairs,): bits in which the two hashes differ."""


def read_pictures(data: Path) -> tuple[Distinct, np.ndarray, np.ndarray]:
    """The distinct pictures, which one each row has, int64 (N,), and which rows are test rows."""
    table, problems, _ = read_memes(data)
    found, undecodable = decode_pictures(table, SIZE, "bicubic")
    if problems or undecodable:
        raise UserError("\n".join(["bad rows in the data:", *map(str, problems + undecodable)]))
    test = (table.rows["split"] == "test").to_numpy()
    first = table.rows.assign(label=table.rows["label"].where(~test, -1))
    first = first.iloc[np.unique(found.index, return_index=True)[1]]
    words = [frozenset(normalise_caption(caption).split()) for caption in first["caption"]]
    label, path = first["label"].to_numpy(), first["image"].tolist()
    return Distinct(found.pixels, found.hashes, words, label, path), found.index, test


def near_pairs(hashes: np.ndarray, block: int = 512) -> Pairs:
    """All pairs within the largest radius."""
    ends, distances = [], []
    with progress("compare", len(hashes), "pictures") as advance:
        for start in range(0, len(hashes), block):
            rows = hashes[start : start + block]
            distance = np.bitwise_count(rows[:, None] ^ hashes[None, :])
            # Above the diagonal, so that each pair is met once.
            left, right = np.nonzero(np.triu(distance <= RADII[-1], start + 1))
            ends.append(np.stack([left + start, right]))
            distances.append(distance[left, right])
            advance(len(rows))
    joined = np.concatenate(distances)
    order = np.argsort(joined, kind="stable")
    return Pairs(np.concatenate(ends, axis=1)[:, order], joined[order])


def random_pairs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of any two different pictures, drawn with replacement: int64 (2, MEASURED_PAIRS)."""
    left = rng.integers(count, size=MEASURED_PAIRS)
    return np.stack([left, (left + rng.integers(1, count, size=MEASURED_PAIRS)) % count])


def draw(ends: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many of the pairs, in their order."""
    kept = rng.choice(ends.shape[1], min(most, ends.shape[1]), replace=False)
    return ends[:, np.sort(kept)]


def measure(pictures: Distinct, ends: np.ndarray) -> list[str]:
    """Cells: share of like captions, share of equal labels, mean pixel difference."""
    if not ends.shape[1]:
        return ["-"] * 3
    left, right = ends
    like = [_alike(pictures.words[a], pictures.words[b]) for a, b in ends.T]
    known = (pictures.label[left] >= 0) & (pictures.label[right] >= 0)
    same = (pictures.label[left] == pictures.label[right])[known]
    pixels = [_pixel_difference(pictures.pixels[a], pictures.pixels[b]) for a, b in ends.T]
    return [
        f"{np.mean(like):.3f}",
        f"{np.mean(same):.3f}" if len(same) else "-",
        f"{np.mean(pixels):.1f}",
    ]


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """More than half of the words of either are words of both (Jaccard); never so without words."""
    return 2 * len(one & other) > len(one | other)


def _pixel_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def largest_chain(pairs: np.ndarray, count: int) -> int:
    """Pictures in the largest group that the pairs, int64 (2, pairs), chain together."""
    graph = coo_matrix((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(count, count))
    return int(np.bincount(connected_components(graph, directed=False)[1]).max())


def linked_test_rows(pairs: np.ndarray, index: np.ndarray, test: np.ndarray, count: int) -> int:
    """Test rows whose picture is one of train and val, or the other end of a pair with one."""
    known = np.zeros(count, dtype=bool)
    known[index[~test]] = True
    left, right = pairs
    linked = known.copy()
    linked[left[known[right]]] = True
    linked[right[known[left]]] = True
    return int(linked[index[test]].sum())


def in_bin(pairs: Pairs, radius: int) -> np.ndarray:
    """The pairs of the bin that ends at `radius`: int64 (2, pairs)."""
    low, high = np.searchsorted(pairs.distance, [radius - RADII.step, radius], side="right")
    return pairs.ends[:, low if radius else 0 : high]


def radius_table(
    pictures: Distinct, pairs: Pairs, index: np.ndarray, test: np.ndarray, rng: np.random.Generator
) -> Table:
    """A line for each radius, and one for random pairs to compare with."""
    count = len(pictures.path)
    title = f"{len(index)} memes with {count} distinct pictures"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("bits", "pairs", "caption", "label", "pixels", "chain", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    with progress("measure", len(RADII), "radii") as advance:
        for radius in RADII:
            own = in_bin(pairs, radius)
            within = pairs.ends[:, pairs.distance <= radius]
            table.add_row(
                str(radius),
                str(own.shape[1]),
                *measure(pictures, draw(own, MEASURED_PAIRS, rng)),
                str(largest_chain(within, count)),
                str(linked_test_rows(within, index, test, count)),
                style="bold" if radius == HASH_RADIUS else None,
            )
            advance(1)
    chance = measure(pictures, random_pairs(count, rng))
    table.add_row("random", str(count * (count - 1) // 2), *chance, "-", "-", style="dim")
    return table


def legend(test: np.ndarray) -> str:
    """How to read the table."""
    return (
        f"Of the pairs of pictures whose hashes differ in so many bits (or one less): caption = "
        f"share whose captions share over half of their words, label = share of equal labels "
        f"(train and val), pixels = mean difference at {SIZE} px (0 to 255). Of all pairs up to "
        f"there: chain = pictures in the largest group, test = test memes, of {test.sum()}, with a "
        "picture near one of train or val. A radius is too large where its line comes close to "
        f"the random one, or where chain leaps up. In use: {HASH_RADIUS}."
    )


def contact_sheet(pictures: Distinct, pairs: Pairs, rng: np.random.Generator) -> Image.Image:
    """A row for each radius with random pairs of its bin, their distance written under them."""
    width, height = SHOWN_PAIRS * (2 * TILE + GAP), TILE + LINE
    sheet = Image.new("RGB", (width, len(RADII) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for row, radius in enumerate(RADII):
        for column, (a, b) in enumerate(draw(in_bin(pairs, radius), SHOWN_PAIRS, rng).T):
            x, y = column * (2 * TILE + GAP), row * height
            for place, end in enumerate((a, b)):
                tile = ImageOps.pad(open_picture(Path(pictures.path[end])), (TILE, TILE))
                sheet.paste(tile, (x + place * TILE, y))
            bits = (pictures.hashes[a] ^ pictures.hashes[b]).item().bit_count()
            pen.text((x + TILE, y + TILE + LINE // 2), str(bits), "black", anchor="mm")
    return sheet


def main(
    data: Annotated[Path, typer.Option(help="Folder in the Kaggle layout, or one table.")],
    sheet: Annotated[
        Path | None, typer.Option(help="PNG to write: random pairs of every radius.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the pairs drawn.", min=0)] = 0,
) -> None:
    """Tabulate how alike pictures are whose perceptual hashes differ in 0, 2, 4, ... bits."""
    pictures, index, test = read_pictures(data)
    pairs = near_pairs(pictures.hashes)
    rng = np.random.default_rng(seed)
    console = Console()
    if not console.is_terminal:
        console = Console(width=80)
    console.print(radius_table(pictures, pairs, index, test, rng))
    console.print(legend(test), style="dim", highlight=False)
    if sheet:
        contact_sheet(pictures, pairs, rng).save(sheet)
        print(sheet)


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        log(f"error: {error}")
        sys.exit(2)
