"""Find the memes that reviewers decided in a table, and add those that it does not hold."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from extract.tables.meme_table import MemeTable
from extract.tables.review_files import Review
from runtime.errors import UserError, quoted, quoted_list

NAMES = {1: "hateful", 0: "not hateful"}

LISTED = 5
"""Memes that a note names."""

BIAS = (
    "Reviewed memes are mostly those that the model was unsure of, so they are harder than others: "
    "held-out figures with them cannot be compared with those of a run without them."
)


def add_reviews(table: MemeTable, reviews: list[Review]) -> tuple[MemeTable, list[str]]:
    """Return the table with the columns `decided` and `added`, and notes for the user.

    `decided` (int8) is the last decision on the meme, -1 without one. A meme that the table does
    not hold becomes a train row (`added`, bool), if its picture is still where the reviewer saw it;
    the others are named. Raises UserError if no decision can be used.
    """
    by_meme: dict[Hashable, list[Review]] = defaultdict(list)
    places = _Places(table.rows)
    lost = []
    for review in reviews:
        meme = places.find(review)
        if meme is None:
            lost.append(review)
        else:
            by_meme[meme].append(review)
    if reviews and not by_meme:
        raise UserError(
            f"--add: no reviewed meme is in the data, and none has a picture that is where it was; "
            f"found the ids {_ids(reviews)}. Pass the data that were reviewed."
        )
    last = {meme: found[-1] for meme, found in by_meme.items()}
    known = {meme: review for meme, review in last.items() if isinstance(meme, int)}
    new = [review for meme, review in last.items() if not isinstance(meme, int)]
    rows = table.rows.assign(decided=np.int8(-1), added=False)
    rows.loc[rows.index[list(known)], "decided"] = np.array(
        [review.label for review in known.values()], dtype=np.int8
    )
    notes = [*_notes(table.rows, reviews, known, new), *_conflicts(by_meme), *_lost(lost)]
    return replace(table, rows=_with_new(rows, new)), notes


class _Places:
    """Where the memes of a table are, by id."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows
        self._by_id: dict[str, list[int]] = defaultdict(list)
        test_first = np.argsort((rows["split"] != "test").to_numpy(), kind="stable")
        ids = rows["id"].to_numpy()
        for position in test_first.tolist():
            self._by_id[ids[position]].append(position)

    def find(self, review: Review) -> Hashable | None:
        """Return the meme's position, or else (id, caption, image); None if nothing is left of it.

        An id can mean another meme than when it was reviewed, so caption and picture are compared
        as well if the review has them.
        """
        positions = self._by_id.get(review.id, [])
        if review.caption is None or review.image is None:
            return positions[0] if positions else None
        same = [position for position in positions if self._is_same(position, review)]
        if same:
            return same[0]
        if not (review.image or review.caption.strip()):
            return None
        there = not review.image or Path(review.image).is_file()
        return (review.id, review.caption, review.image) if there else None

    def _is_same(self, position: int, review: Review) -> bool:
        row = self._rows.iloc[position]
        # A caption that nobody typed is read off the picture later.
        same_caption = row["caption"] in ("", review.caption)
        return same_caption and _file_name(row["image"]) == _file_name(review.image)


def _file_name(path: str) -> str:
    return Path(path).resolve().name if path else ""


def _with_new(rows: pd.DataFrame, new: list[Review]) -> pd.DataFrame:
    if not new:
        return rows
    columns = {
        "id": [review.id for review in new],
        "split": "train",
        "image": [review.image for review in new],
        "caption": [review.caption for review in new],
        "label": [review.label for review in new],
        "order": -1,
        "file": [review.file for review in new],
        "line": [review.line for review in new],
        "slice": "",
        "decided": [review.label for review in new],
        "added": True,
    }
    added = pd.DataFrame(columns)[rows.columns].astype(rows.dtypes.to_dict())
    return pd.concat([rows, added], ignore_index=True)


def _notes(
    rows: pd.DataFrame, reviews: list[Review], known: dict[int, Review], new: list[Review]
) -> Iterator[str]:
    if not reviews:
        yield "--add: no decision to train on; skipped and undone ones do not count."
        return
    files = quoted_list(dict.fromkeys(review.file for review in reviews))
    yield (
        f"--add: memes with a decision in {files} that are trained on: {len(known)} of these data, "
        f"{len(new)} others. Reviewed test rows stay in solution.csv, and count in no figure on "
        f"test rows. {BIAS}"
    )
    label = rows["label"].to_numpy()
    changed = [review for at, review in known.items() if label[at] == 1 - review.label]
    if changed:
        yield (
            f"--add: reviewed memes with another label in the table: {_ids(changed)}. The decision "
            "of the reviewer is used."
        )


def _conflicts(by_meme: dict[Hashable, list[Review]]) -> Iterator[str]:
    odd = [found for found in by_meme.values() if len({review.label for review in found}) > 1]
    if odd:
        listed = "; ".join(
            f"{quoted(found[-1].id)} ("
            + ", ".join(f"{review.reviewer}: {NAMES[review.label]}" for review in found)
            + ")"
            for found in odd[:LISTED]
        )
        more = f"; and {len(odd) - LISTED} more" * (len(odd) > LISTED)
        yield f"--add: reviewers disagree, and the last decision is used: {listed}{more}."


def _lost(lost: list[Review]) -> Iterator[str]:
    unknown = [review for review in lost if not review.image]
    gone = [review for review in lost if review.image]
    if unknown:
        yield (
            "--add: reviewed memes that are not trained on, because the data have no such id: "
            f"{_ids(unknown)}."
        )
    if gone:
        yield (
            "--add: reviewed memes that are not trained on, because they are not in the data and "
            f"their pictures are gone: {_ids(gone)}; the first was {gone[0].image}."
        )


def _ids(reviews: list[Review]) -> str:
    more = f" and {len(reviews) - LISTED} more" * (len(reviews) > LISTED)
    return quoted_list(review.id for review in reviews[:LISTED]) + more
