"""Generate the built-in sample data set from a seed, composed like Meta's Hateful Memes.

The labels are mean (1) and nice (0). Whether a caption is mean depends on the picture. Neither
alone predicts the label well, as in Kiela et al. 2020: multimodal memes have benign confounders.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from extract.sample.sample_captions import write_caption
from extract.sample.sample_pictures import SUBJECTS, draw_picture
from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write_folder, write_text

MIN_MEMES = 120
"""Minimum size of the sample. In a smaller one, the splits are not balanced."""

_TOPICS = tuple(SUBJECTS)

_POLARITIES = ("good", "bad")


@dataclass(frozen=True)
class Meme:
    """One meme and how it is generated. Memes with equal `picture` numbers have the same image."""

    split: str
    kind: str
    family: int
    topic: str
    subject: str
    polarity: str
    picture: int
    tone: str
    text: str
    label: int
    id: str = ""


def compose_memes(memes: int = 2000, seed: int = 0) -> list[Meme]:
    """Return all memes of the sample, without images. A family of memes is never split."""
    if memes < MIN_MEMES:
        raise ValueError(f"the sample needs at least {MIN_MEMES} memes, not {memes}")
    rng = np.random.default_rng(seed)
    test, val = round(0.2 * memes), round(0.1 * memes)
    generator = _MemeGenerator(rng)
    generated = [
        meme
        for split, size in {"train": memes - val - test, "val": val, "test": test}.items()
        for meme in generator.split(split, size)
    ]
    # The ids are shuffled, so that their order reveals neither labels nor families.
    numbers = rng.permutation(memes) + 1
    named = [
        replace(meme, id=f"{number:05d}") for meme, number in zip(generated, numbers, strict=True)
    ]
    return sorted(named, key=lambda meme: meme.id)


def write_sample(folder: Path, memes: int = 2000, seed: int = 0) -> Path:
    """Write CSV files and `img/` into a new or empty `folder`; the same seed gives the same bytes.

    Raises UserError if `folder` is not empty, or is a file.
    """
    generated = compose_memes(memes, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"{folder} is not an empty folder. Delete it, or name a new one for the sample."
        )
    with atomic_write_folder(folder) as partial:
        _write_images(partial / "img", generated, seed)
        _write_tables(partial, generated, seed)
    return folder


def _write_tables(folder: Path, generated: list[Meme], seed: int) -> None:
    for split in ("train", "val", "test"):
        rows = [
            (meme.id, f"img/{meme.id}.png", meme.text, meme.label)
            for meme in generated
            if meme.split == split
        ]
        write_text(folder / f"{split}.csv", _csv(("id", "img", "text", "label"), rows))
    submission = [(meme.id, 0) for meme in generated if meme.split == "test"]
    # A competition may ask for the ids in another order than test.csv.
    np.random.default_rng(seed).shuffle(submission)
    write_text(folder / "sample_submission.csv", _csv(("id", "label"), submission))


def _write_images(folder: Path, memes: list[Meme], seed: int) -> None:
    folder.mkdir(parents=True)
    drawn: dict[int, bytes] = {}
    for meme in memes:
        if meme.picture not in drawn:
            drawn[meme.picture] = _png(meme, seed)
        (folder / f"{meme.id}.png").write_bytes(drawn[meme.picture])


def _png(meme: Meme, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_picture(meme.subject, np.random.default_rng((seed, meme.picture))).save(buffer, "PNG")
    return buffer.getvalue()


def _csv(header: tuple[str, ...], rows: list[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()


@dataclass(frozen=True)
class _KindCounts:
    """Number of memes of each kind in a split. Even numbers balance the two polarities."""

    multimodal: int
    unimodal: int
    confounders: int
    random: int

    @classmethod
    def of(cls, size: int) -> "_KindCounts":
        multimodal = 2 * round(0.15 * size)
        confounders = 2 * round(0.125 * size)
        unimodal = round(0.35 * size) - multimodal
        return cls(
            multimodal, unimodal, confounders, size - multimodal - unimodal - 2 * confounders
        )


class _MemeGenerator:
    """Generates memes. New captions, picture numbers and family numbers are unique."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._texts: set[str] = set()
        self._pictures, self._families = count(), count()

    def split(self, name: str, size: int) -> Iterator[Meme]:
        """Yield all memes of one split. Cycling through topics and subjects balances each kind."""
        counts = _KindCounts.of(size)
        turns = count()
        for _ in range(counts.multimodal):
            turn = next(turns)
            meme = self._matched(name, "multimodal", turn, mean=True)
            yield meme
            if turn < counts.confounders:
                yield self._text_confounder(meme, turn)
            if turn >= counts.multimodal - counts.confounders:
                yield self._image_confounder(meme)
        for _ in range(counts.unimodal):
            yield self._meme(name, "unimodal", next(turns), "insult", label=1)
        for _ in range(counts.random // 2):
            yield self._matched(name, "random", next(turns), mean=False)
        for _ in range(counts.random - counts.random // 2):
            yield self._meme(name, "random", next(turns), "chat", label=0)

    def _matched(self, split: str, kind: str, turn: int, mean: bool) -> Meme:
        """Return a praise or denial that is mean, or nice, for the picture of this turn."""
        tone = "praise" if (_polarity(turn) == "bad") == mean else "denial"
        return self._meme(split, kind, turn, tone, int(mean))

    def _meme(self, split: str, kind: str, turn: int, tone: str, label: int) -> Meme:
        topic, polarity = _TOPICS[turn // 2 % len(_TOPICS)], _polarity(turn)
        subject = SUBJECTS[topic][polarity][turn // 10 % 2]
        return Meme(
            split=split,
            kind=kind,
            family=next(self._families),
            topic=topic,
            subject=subject,
            polarity=polarity,
            picture=next(self._pictures),
            tone=tone,
            text=self._new_caption(tone, topic),
            label=label,
        )

    def _text_confounder(self, meme: Meme, turn: int) -> Meme:
        """Return the same caption with a picture of the opposite polarity."""
        polarity = _POLARITIES[meme.polarity == "good"]
        return replace(
            meme,
            kind="text confounder",
            subject=SUBJECTS[meme.topic][polarity][turn // 20 % 2],
            polarity=polarity,
            picture=next(self._pictures),
            label=0,
        )

    def _image_confounder(self, meme: Meme) -> Meme:
        """Return the same picture with a caption of the opposite tone."""
        tone = "denial" if meme.tone == "praise" else "praise"
        text = self._new_caption(tone, meme.topic)
        return replace(meme, kind="image confounder", tone=tone, text=text, label=0)

    def _new_caption(self, tone: str, topic: str) -> str:
        text = write_caption(tone, topic, self._rng)
        while text in self._texts:
            text = write_caption(tone, topic, self._rng)
        self._texts.add(text)
        return text


def _polarity(turn: int) -> str:
    return _POLARITIES[turn % 2]
