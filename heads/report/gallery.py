"""Gallery of memes: confident mistakes, uncertain predictions, and labels in doubt."""

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from heads.ensemble.doubtful_labels import DoubtfulLabel
from heads.ensemble.explained_memes import Explained
from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import joined, label_name, shorten
from runtime.picture_opening import encode_small

MISTAKES = 12

UNCERTAIN = 6

DOUBTFUL = 12
"""Labels in doubt."""

NEIGHBOURS = 3

LARGE, SMALL = 160, 80
"""Side of a thumbnail in pixels: of a meme, and of its neighbours."""

CAPTION_LENGTH, NEIGHBOUR_CAPTION_LENGTH = 280, 90
"""Longest caption shown, in characters."""

MAX_NAMED_DUPLICATES = 4

QUALITY = 70
"""WebP quality of thumbnails."""


@dataclass(frozen=True)
class ShownMeme:
    """A meme as the gallery shows it."""

    id: str
    caption: str
    label: int
    picture: Markup | None
    """Data URI; None if there is no picture to show."""
    missing: str
    """Text shown in place of a missing picture."""


@dataclass(frozen=True)
class Neighbour:
    """A nearest neighbour among the labelled memes."""

    meme: ShownMeme
    cosine: float
    duplicate: bool
    """Whether it is in the same group of near-duplicates."""


@dataclass(frozen=True)
class Card:
    """A meme with its label, predictions and neighbours."""

    meme: ShownMeme
    split: str
    probability: float
    threshold: float
    predicted: int
    heads: list[tuple[str, float]]
    """Name and probability of each head, in descending order of probability."""
    neighbours: list[Neighbour]
    warnings: list[str]
    why: Explained | None
    """None if it was not explained."""


@dataclass(frozen=True)
class LabelCard:
    """A meme whose label is in doubt."""

    meme: ShownMeme
    issue: DoubtfulLabel


@dataclass(frozen=True)
class Gallery:
    """All lists of cards, and the number of rows they were selected from."""

    mistakes: list[Card]
    uncertain: list[Card]
    labels: list[LabelCard]
    wrong: int
    """Number of mistakes on all held-out rows."""
    rows: int
    space: str
    """Space in which neighbours are searched."""
    explained: bool
    """Whether `report --explain` has explained this ensemble's memes."""


@dataclass(frozen=True)
class ChosenRows:
    """Indices of the rows that the gallery shows, and the number of mistakes on all rows."""

    mistakes: list[int]
    uncertain: list[int]
    wrong: int


def make_gallery(run: FinishedRun) -> Gallery:
    """Show the memes of `choose_rows` with what is known of them."""
    chosen = choose_rows(run)
    return Gallery(
        mistakes=_cards(run, chosen.mistakes),
        uncertain=_cards(run, chosen.uncertain),
        labels=_label_cards(run),
        wrong=chosen.wrong,
        rows=len(run.held_out_rows),
        space=run.common_space().name,
        explained=run.explanations is not None,
    )


def choose_rows(run: FinishedRun) -> ChosenRows:
    """Choose memes among the held-out rows, at most one of each group of near-duplicates."""
    held_out, ensemble = run.held_out_rows, run.models[ENSEMBLE]
    label = run.table.rows.label[held_out]
    probability, threshold = ensemble.held_out[held_out], ensemble.row_threshold[held_out]
    wrong = (probability > threshold) != (label == 1)
    by_error = np.argsort(-np.abs(probability - label), kind="stable")
    mistakes = _one_per_group(run, held_out[by_error[wrong[by_error]]], MISTAKES)
    by_margin = held_out[np.argsort(np.abs(probability - threshold), kind="stable")]
    uncertain = _one_per_group(run, by_margin[~np.isin(by_margin, mistakes)], UNCERTAIN)
    return ChosenRows(mistakes, uncertain, int(wrong.sum()))


def _one_per_group(run: FinishedRun, rows: np.ndarray, limit: int) -> list[int]:
    _, first = np.unique(run.table.rows.group[rows], return_index=True)
    return rows[np.sort(first)][:limit].tolist()


def _cards(run: FinishedRun, rows: list[int]) -> list[Card]:
    neighbours = _neighbours(run, rows)
    return [_card(run, row, near) for row, near in zip(rows, neighbours, strict=True)]


def _label_cards(run: FinishedRun) -> list[LabelCard]:
    issues = {issue.row: issue for issue in run.doubtful_labels.issues}
    rows = _one_per_group(run, np.array(list(issues), dtype=np.int64), DOUBTFUL)
    return [LabelCard(_shown_meme(run, row, LARGE, CAPTION_LENGTH), issues[row]) for row in rows]


def _card(run: FinishedRun, row: int, neighbours: list[Neighbour]) -> Card:
    ensemble = run.models[ENSEMBLE]
    probability, threshold = ensemble.held_out[row], ensemble.row_threshold[row]
    heads = [(head.name, float(head.held_out[row])) for head in run.heads()]
    return Card(
        meme=_shown_meme(run, row, LARGE, CAPTION_LENGTH),
        split=run.table.rows.split[row],
        probability=float(probability),
        threshold=float(threshold),
        predicted=int(probability > threshold),
        heads=sorted(heads, key=lambda head: -head[1]),
        neighbours=neighbours,
        warnings=_warnings(run, row),
        why=(run.explanations or {}).get(row),
    )


def _shown_meme(run: FinishedRun, row: int, side: int, length: int) -> ShownMeme:
    meme = run.memes[row]
    picture = thumbnail(meme.image, side)
    missing = "picture unreadable or deleted" if meme.image else "no picture"
    label = int(run.table.rows.label[row])
    return ShownMeme(meme.id, shorten(meme.caption, length), label, picture, missing)


def _neighbours(run: FinishedRun, rows: list[int]) -> list[list[Neighbour]]:
    """The nearest labelled memes of each row, by cosine similarity."""
    X = run.projected(run.common_space()).astype(np.float64)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    labelled, group = np.flatnonzero(run.table.rows.labelled), run.table.rows.group
    neighbours = []
    for row in rows:
        others = labelled[labelled != row]
        cosine = X[others] @ X[row]
        nearest = np.argsort(-cosine, kind="stable")[:NEIGHBOURS]
        neighbours.append(
            [
                Neighbour(
                    _shown_meme(run, other, SMALL, NEIGHBOUR_CAPTION_LENGTH),
                    float(similarity),
                    bool(group[other] == group[row]),
                )
                for other, similarity in zip(others[nearest], cosine[nearest], strict=True)
            ]
        )
    return neighbours


def _warnings(run: FinishedRun, row: int) -> list[str]:
    """A warning if near-duplicates of the row have the opposite label."""
    rows = run.table.rows
    duplicate = (rows.group == rows.group[row]) & (rows.label >= 0)
    others = rows.id[duplicate & (rows.label != rows.label[row])].tolist()
    if not others:
        return []
    named = others[:MAX_NAMED_DUPLICATES]
    if len(others) > MAX_NAMED_DUPLICATES:
        named = [*named, f"{len(others) - MAX_NAMED_DUPLICATES} more"]
    opposite = label_name(1 - int(rows.label[row]))
    noun, verb = ("near-duplicate", "is") if len(others) == 1 else ("near-duplicates", "are")
    return [f"Its {noun} {joined(named)} {verb} labelled {opposite}."]


def thumbnail(path: str, side: int) -> Markup | None:
    """The picture as a WebP data URI, at most `side` pixels wide and high.

    None if the file was deleted or cannot be opened, because the report may be written long after
    the run.
    """
    encoded = encode_small(Path(path), side, "WEBP", QUALITY)
    if encoded is None:
        return None
    return Markup("data:image/webp;base64,{}").format(base64.b64encode(encoded).decode())
