"""Choose HASH_RADIUS, the largest distance between perceptual hashes of near-duplicate pictures.

python -m benchmarks.accuracy.hash_radius --data DIR --sheet sheet.png
"""

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

from benchmarks.command_line import run_command
from extract.data.image_decoding import decode_pictures
from extract.folds.near_captions import normalise_caption
from extract.folds.near_pictures import HASH_RADIUS
from extract.tables.read_memes import read_memes
from runtime.errors import UserError
from runtime.picture_opening import open_picture
from runtime.progress import progress

RADII = range(0, 21, 2)
"""A bin contains the distances above the previous radius and up to its own. Odd distances are rare,
because a hash has as many ones as zeros, except for ties."""
SIZE = 64
"""Side length in pixels at which pictures are compared."""
MEASURED_PAIRS = 10_000
"""Number of pairs measured per bin; larger bins are sampled."""
SHOWN_PAIRS, TILE, GAP, LINE = 8, 120, 12, 18
"""Layout of the contact sheet: pairs per row; picture side, gap and text height in pixels."""


@dataclass(frozen=True)
class DistinctPictures:
    """The P distinct pictures, each with caption and label of the first row that contains it."""

    pixels: np.ndarray
    """uint8 (P, 3, SIZE, SIZE)."""
    hashes: np.ndarray
    """uint64 (P,)."""
    words: list[frozenset[str]]
    """Words of the normalised captions."""
    label: np.ndarray
    """int8 (P,): -1 for test rows, whose labels must not influence any choice."""
    path: list[str]


@dataclass(frozen=True)
class Pairs:
    """Pairs of distinct pictures, nearest first."""

    ends: np.ndarray
    """int64 (2, pairs): indices of the two pictures."""
    distance: np.ndarray
    """uint8 (pairs,): number of bits in which the hashes differ."""


def read_pictures(data: Path) -> tuple[DistinctPictures, np.ndarray, np.ndarray]:
    """Return distinct pictures, picture index of each row, int64 (N,), and test mask, bool (N,)."""
    table, problems, _ = read_memes(data)
    found, undecodable = decode_pictures(table, SIZE, "bicubic")
    if problems or undecodable:
        raise UserError("\n".join(["invalid rows in the data:", *map(str, problems + undecodable)]))
    test = (table.rows["split"] == "test").to_numpy()
    first = table.rows.assign(label=table.rows["label"].where(~test, -1))
    first = first.iloc[np.unique(found.index, return_index=True)[1]]
    words = [frozenset(normalise_caption(caption).split()) for caption in first["caption"]]
    label, path = first["label"].to_numpy(), first["image"].tolist()
    return DistinctPictures(found.pixels, found.hashes, words, label, path), found.index, test


def near_pairs(hashes: np.ndarray, block: int = 512) -> Pairs:
    """Find all pairs within the largest radius, by comparing blocks of hashes."""
    ends, distances = [], []
    with progress("compare", len(hashes), "pictures") as advance:
        for start in range(0, len(hashes), block):
            rows = hashes[start : start + block]
            distance = np.bitwise_count(rows[:, None] ^ hashes[None, :])
            # Above the diagonal, so that each pair occurs once.
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


def sample_pairs(ends: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Sample at most `limit` of the pairs without replacement, in their order."""
    sampled = rng.choice(ends.shape[1], min(limit, ends.shape[1]), replace=False)
    return ends[:, np.sort(sampled)]


def measure(pictures: DistinctPictures, ends: np.ndarray) -> list[str]:
    """Return cells: share of similar captions, share of equal labels, mean pixel difference."""
    if not ends.shape[1]:
        return ["-"] * 3
    left, right = ends
    similar = [_similar_captions(pictures.words[a], pictures.words[b]) for a, b in ends.T]
    known = (pictures.label[left] >= 0) & (pictures.label[right] >= 0)
    same = (pictures.label[left] == pictures.label[right])[known]
    pixels = [_pixel_difference(pictures.pixels[a], pictures.pixels[b]) for a, b in ends.T]
    return [
        f"{np.mean(similar):.3f}",
        f"{np.mean(same):.3f}" if len(same) else "-",
        f"{np.mean(pixels):.1f}",
    ]


def _similar_captions(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the Jaccard similarity of the words exceeds 0.5; False if there are no words."""
    return 2 * len(one & other) > len(one | other)


def _pixel_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def largest_group(pairs: np.ndarray, count: int) -> int:
    """Size of the largest connected component of the pairs, int64 (2, pairs)."""
    graph = coo_matrix((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(count, count))
    return int(np.bincount(connected_components(graph, directed=False)[1]).max())


def linked_test_rows(pairs: np.ndarray, index: np.ndarray, test: np.ndarray, count: int) -> int:
    """Count test rows whose picture is in train or val, or is paired with one that is."""
    known = np.zeros(count, dtype=bool)
    known[index[~test]] = True
    left, right = pairs
    linked = known.copy()
    linked[left[known[right]]] = True
    linked[right[known[left]]] = True
    return int(linked[index[test]].sum())


def in_bin(pairs: Pairs, radius: int) -> np.ndarray:
    """Return the pairs in the bin that ends at `radius`: int64 (2, pairs)."""
    low, high = np.searchsorted(pairs.distance, [radius - RADII.step, radius], side="right")
    return pairs.ends[:, low if radius else 0 : high]


def radius_table(
    pictures: DistinctPictures,
    pairs: Pairs,
    index: np.ndarray,
    test: np.ndarray,
    rng: np.random.Generator,
) -> Table:
    """Build a table with a line for each radius, and one for random pairs as a reference."""
    count = len(pictures.path)
    title = f"{len(index)} memes with {count} distinct pictures"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("bits", "pairs", "caption", "label", "pixels", "group", "test"):
        table.add_column(name, justify="right", no_wrap=True)
    with progress("measure", len(RADII), "radii") as advance:
        for radius in RADII:
            pairs_in_bin = in_bin(pairs, radius)
            within = pairs.ends[:, pairs.distance <= radius]
            table.add_row(
                str(radius),
                str(pairs_in_bin.shape[1]),
                *measure(pictures, sample_pairs(pairs_in_bin, MEASURED_PAIRS, rng)),
                str(largest_group(within, count)),
                str(linked_test_rows(within, index, test, count)),
                style="bold" if radius == HASH_RADIUS else None,
            )
            advance(1)
    reference = measure(pictures, random_pairs(count, rng))
    table.add_row("random", str(count * (count - 1) // 2), *reference, "-", "-", style="dim")
    return table


def legend(test: np.ndarray) -> str:
    """Explain the columns of the table."""
    return (
        "bits = number of bits in which the hashes differ; a line includes one bit less. For the "
        "pairs with this distance: caption = share with more than half of their words in common, "
        f"label = share with equal labels (train and val), pixels = mean difference at {SIZE} px "
        "(0 to 255). For "
        "all pairs up to this distance: group = pictures in the largest connected group, test = "
        f"test memes, of {test.sum()}, with a picture near one in train or val. A radius is too "
        "large if its line is close to the random line, or if group jumps up. Current radius: "
        f"{HASH_RADIUS}."
    )


def contact_sheet(
    pictures: DistinctPictures, pairs: Pairs, rng: np.random.Generator
) -> Image.Image:
    """Draw random pairs of each bin, one row per radius, with their distance below each pair."""
    width, height = SHOWN_PAIRS * (2 * TILE + GAP), TILE + LINE
    sheet = Image.new("RGB", (width, len(RADII) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for row, radius in enumerate(RADII):
        for column, (a, b) in enumerate(sample_pairs(in_bin(pairs, radius), SHOWN_PAIRS, rng).T):
            x, y = column * (2 * TILE + GAP), row * height
            for side, index in enumerate((a, b)):
                tile = ImageOps.pad(open_picture(Path(pictures.path[index])), (TILE, TILE))
                sheet.paste(tile, (x + side * TILE, y))
            bits = (pictures.hashes[a] ^ pictures.hashes[b]).item().bit_count()
            pen.text((x + TILE, y + TILE + LINE // 2), str(bits), "black", anchor="mm")
    return sheet


def main(
    data: Annotated[Path, typer.Option(help="Folder in the Kaggle layout, or one table.")],
    sheet: Annotated[
        Path | None, typer.Option(help="PNG file to write, with random pairs of every radius.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed for sampling pairs.", min=0)] = 0,
) -> None:
    """Tabulate how similar pictures are whose perceptual hashes differ in 0, 2, 4, ... bits."""
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
    run_command(main)
