"""Memes to look at: the most confident mistakes, and what the ensemble is least certain of."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageOps

from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import joined, label_name, shorten

MISTAKES = 12

UNCERTAIN = 6

NEIGHBOURS = 3

LARGE, SMALL = 160, 80

CAPTION, NEIGHBOUR_CAPTION = 280, 90

MOST_NAMED = 4


@dataclass(frozen=True)
class Picture:
    """A meme as it is shown."""

    id: str
    caption: str
    label: int
    picture: Markup | None
    """Data URI; None if there is no picture to show."""
    missing: str
    """Why there is none."""


@dataclass(frozen=True)
class Neighbour:
    """A labelled meme nearby."""

    meme: Picture
    cosine: float
    duplicate: bool
    """In the same group of near-duplicates."""


@dataclass(frozen=True)
class Card:
    """A meme, and everything known of what was said of it."""

    meme: Picture
    split: str
    probability: float
    threshold: float
    said: int
    heads: list[tuple[str, float]]
    """Name and probability of each head, most hateful first."""
    neighbours: list[Neighbour]
    warnings: list[str]


@dataclass(frozen=True)
class Gallery:
    """Both parts, and the counts that they are taken from."""

    mistakes: list[Card]
    uncertain: list[Card]
    wrong: int
    rows: int
    space: str
    """The space in which neighbours are near."""


def make_gallery(run: FinishedRun) -> Gallery:
    """Choose the memes among the held-out rows, at most one of each group of near-duplicates."""
    places, ensemble, label = run.held_out, run.contenders[ENSEMBLE], run.table.rows.label
    probability, threshold = ensemble.held_out[places], ensemble.row_threshold[places]
    wrong = (probability > threshold) != (label[places] == 1)
    surest = np.argsort(-np.abs(probability - label[places]), kind="stable")
    mistakes = _one_a_group(run, places[surest[wrong[surest]]], MISTAKES)
    nearest = places[np.argsort(np.abs(probability - threshold), kind="stable")]
    uncertain = _one_a_group(run, nearest[~np.isin(nearest, mistakes)], UNCERTAIN)
    space = run.common_space()
    return Gallery(
        mistakes=_cards(run, mistakes),
        uncertain=_cards(run, uncertain),
        wrong=int(wrong.sum()),
        rows=len(places),
        space=space.name,
    )


def _one_a_group(run: FinishedRun, rows: np.ndarray, most: int) -> list[int]:
    _, first = np.unique(run.table.rows.group[rows], return_index=True)
    return rows[np.sort(first)][:most].tolist()


def _cards(run: FinishedRun, places: list[int]) -> list[Card]:
    near = _neighbours(run, places)
    return [_card(run, row, near[number]) for number, row in enumerate(places)]


def _card(run: FinishedRun, row: int, neighbours: list[Neighbour]) -> Card:
    ensemble = run.contenders[ENSEMBLE]
    probability, threshold = ensemble.held_out[row], ensemble.row_threshold[row]
    heads = [(one.name, float(one.held_out[row])) for one in run.heads()]
    return Card(
        meme=_picture(run, row, LARGE, CAPTION),
        split=run.table.rows.split[row],
        probability=float(probability),
        threshold=float(threshold),
        said=int(probability > threshold),
        heads=sorted(heads, key=lambda head: -head[1]),
        neighbours=neighbours,
        warnings=_warnings(run, row),
    )


def _picture(run: FinishedRun, row: int, side: int, length: int) -> Picture:
    meme = run.memes[row]
    found = thumbnail(meme.image, side)
    missing = "picture unreadable or gone" if meme.image else "no picture"
    label = int(run.table.rows.label[row])
    return Picture(meme.id, shorten(meme.caption, length), label, found, missing)


def _neighbours(run: FinishedRun, places: list[int]) -> list[list[Neighbour]]:
    """The labelled memes nearest to each, by cosine similarity."""
    X = run.projected(run.common_space()).astype(np.float64)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    known, group = np.flatnonzero(run.table.rows.labelled), run.table.rows.group
    found = []
    for row in places:
        others = known[known != row]
        cosine = X[others] @ X[row]
        nearest = np.argsort(-cosine, kind="stable")[:NEIGHBOURS]
        found.append(
            [
                Neighbour(
                    _picture(run, other, SMALL, NEIGHBOUR_CAPTION),
                    float(similarity),
                    bool(group[other] == group[row]),
                )
                for other, similarity in zip(others[nearest], cosine[nearest], strict=True)
            ]
        )
    return found


def _warnings(run: FinishedRun, row: int) -> list[str]:
    """Near-duplicates that are labelled the other way."""
    rows = run.table.rows
    alike = (rows.group == rows.group[row]) & (rows.label >= 0)
    others = rows.id[alike & (rows.label != rows.label[row])].tolist()
    if not others:
        return []
    named = others[:MOST_NAMED]
    if len(others) > MOST_NAMED:
        named = [*named, f"{len(others) - MOST_NAMED} more"]
    opposite = label_name(1 - int(rows.label[row]))
    verb = "is" if len(others) == 1 else "are"
    return [f"Its near-duplicate{'s' * (len(others) > 1)} {joined(named)} {verb} {opposite}."]


QUALITY = 70


def thumbnail(path: str, side: int) -> Markup | None:
    """The picture, at most `side` pixels wide and high, as a WebP data URI.

    None if the file is gone or Pillow cannot read it: the report is made long after the run, and
    tells what it can. The picture is encoded anew, so that nothing else in the file gets in.
    """
    if not path or not Path(path).is_file():
        return None
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            upright.thumbnail((side, side))
            flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            buffer = io.BytesIO()
            flat.convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    # Pillow's plug-ins raise whatever a damaged file makes them raise.
    except (OSError, ValueError, SyntaxError, ArithmeticError, Image.DecompressionBombError):
        return None
    return Markup("data:image/webp;base64,{}").format(base64.b64encode(buffer.getvalue()).decode())
