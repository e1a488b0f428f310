"""The memes of a run that are worth a review, and their pictures."""

import csv
from pathlib import Path
from typing import NamedTuple

from heads.ensemble.run_memes import Meme, read_memes
from runtime.errors import UserError, user_error_if_damaged
from runtime.picture_opening import encode_small
from serve.review.review_queue import ReviewMeme

BAND = 0.15
"""A meme is doubtful if its probability is within this of the threshold."""

MIN_MEMES = 20
"""If fewer memes are doubtful, all are reviewed."""

SHOWN_SIDE = 1024
"""Maximum width and height of a picture that is sent, in pixels."""

SUBMIT = "Run: python pipeline.py submit"


class DoubtfulMemes(NamedTuple):
    """Memes to review."""

    memes: list[ReviewMeme]
    """The least certain first."""
    pictures: dict[int, Path]
    """By row: the picture file, if the meme has one."""


def read_doubtful_memes(run: Path, threshold: float) -> DoubtfulMemes:
    """Read a run's test memes near `threshold`, but those whose decision it was trained on.

    Raises UserError if its files are not there.
    """
    probabilities = _read_probabilities(run / "predictions.csv")
    memes = read_memes(run / "memes.jsonl")
    test = [row for row, meme in enumerate(memes) if meme.split == "test"]
    if not probabilities.keys() <= {memes[row].id for row in test}:
        other = "has ids that memes.jsonl lacks: it belongs to other data"
        raise UserError(f"{run / 'predictions.csv'} {other}. {SUBMIT}")
    trained = {_content(meme) for meme in memes if meme.split != "test"}
    review = [
        ReviewMeme(row, meme_id, caption, probabilities[meme_id], image)
        for row in test
        for meme_id, caption, image in [_content(memes[row])]
        if meme_id in probabilities and (meme_id, caption, image) not in trained
    ]
    pictures = {meme.row: Path(meme.image) for meme in review if meme.image}
    return DoubtfulMemes(_least_certain(review, threshold), pictures)


def _content(meme: Meme) -> tuple[str, str, str]:
    return meme.id, meme.caption, meme.image


def _least_certain(memes: list[ReviewMeme], threshold: float) -> list[ReviewMeme]:
    by_doubt = sorted(memes, key=lambda meme: abs(meme.probability - threshold))
    doubtful = [meme for meme in by_doubt if abs(meme.probability - threshold) <= BAND]
    return doubtful if len(doubtful) >= MIN_MEMES else by_doubt


def _read_probabilities(path: Path) -> dict[str, float]:
    with user_error_if_damaged(path, SUBMIT), path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: float(row["probability"]) for row in csv.DictReader(file)}


def shown_picture(path: Path) -> bytes | None:
    """Return a picture as a JPEG of at most SHOWN_SIDE pixels, None if it cannot be decoded.

    The file itself is never sent: it could be anything.
    """
    return encode_small(path, SHOWN_SIDE, "JPEG", quality=88)
