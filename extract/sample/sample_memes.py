"""The built-in sample: memes drawn from a seed, composed like Meta's Hateful Memes.

Mean (1) against nice (0). Whether a caption is mean depends on its picture: neither alone says
much, as in Kiela et al. 2020, whose multimodal memes each come with benign confounders.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from extract.sample.sample_captions import write
from extract.sample.sample_pictures import SUBJECTS, draw
from runtime.atomic_files import atomic_write_folder, write_text
from runtime.errors import UserError

FEWEST = 120

_TOPICS = tuple(SUBJECTS)

_POLARITIES = ("good", "bad")


@dataclass(frozen=True)
class Meme:
    """One meme and how it came about; equal `picture` numbers mean the same drawing."""

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


def compose(memes: int = 2000, seed: int = 0) -> list[Meme]:
    """Decide on every meme of the sample, without drawing; families stay within a split."""
    if memes < FEWEST:
        raise ValueError(f"the sample needs at least {FEWEST} memes, not {memes}")
    rng = np.random.default_rng(seed)
    test, val = round(0.2 * memes), round(0.1 * memes)
    author = _Author(rng)
    found = [
        meme
        for split, size in {"train": memes - val - test, "val": val, "test": test}.items()
        for meme in author.split(split, size)
    ]
    # Shuffled numbers: the order of the ids tells neither label nor family.
    numbers = rng.permutation(memes) + 1
    named = [replace(meme, id=f"{number:05d}") for meme, number in zip(found, numbers, strict=True)]
    return sorted(named, key=lambda meme: meme.id)


def write_sample(folder: Path, memes: int = 2000, seed: int = 0) -> Path:
    """Write CSVs and `img/` into a new or empty `folder`; the same seed gives the same bytes."""
    composed = compose(memes, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"{folder} is not an empty folder. Delete it, or name a new one for the sample."
        )
    with atomic_write_folder(folder) as partial:
        _write_images(partial / "img", composed, seed)
        _write_tables(partial, composed, seed)
    return folder


def _write_tables(folder: Path, composed: list[Meme], seed: int) -> None:
    for split in ("train", "val", "test"):
        rows = [
            (meme.id, f"img/{meme.id}.png", meme.text, meme.label)
            for meme in composed
            if meme.split == split
        ]
        write_text(folder / f"{split}.csv", _csv(("id", "img", "text", "label"), rows))
    asked = [(meme.id, 0) for meme in composed if meme.split == "test"]
    # A contest need not ask for the ids in the order of test.csv.
    np.random.default_rng(seed).shuffle(asked)
    write_text(folder / "sample_submission.csv", _csv(("id", "label"), asked))


def _write_images(folder: Path, memes: list[Meme], seed: int) -> None:
    folder.mkdir(parents=True)
    drawn: dict[int, bytes] = {}
    for meme in memes:
        if meme.picture not in drawn:
            drawn[meme.picture] = _png(meme, seed)
        (folder / f"{meme.id}.png").write_bytes(drawn[meme.picture])


def _png(meme: Meme, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(meme.subject, np.random.default_rng((seed, meme.picture))).save(buffer, "PNG")
    return buffer.getvalue()


def _csv(header: tuple[str, ...], rows: list[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()


@dataclass(frozen=True)
class _Shares:
    """How many memes of each kind a split of some size has; pairs of polarities stay balanced."""

    multimodal: int
    unimodal: int
    confounders: int
    random: int

    @classmethod
    def of(cls, size: int) -> "_Shares":
        multimodal = 2 * round(0.15 * size)
        confounders = 2 * round(0.125 * size)
        unimodal = round(0.35 * size) - multimodal
        return cls(
            multimodal, unimodal, confounders, size - multimodal - unimodal - 2 * confounders
        )


class _Author:
    """Makes up memes: no caption, picture or family number is given out twice."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._texts: set[str] = set()
        self._pictures, self._families = count(), count()

    def split(self, name: str, size: int) -> Iterator[Meme]:
        """All memes of one split. One walk over topics and subjects keeps each kind balanced."""
        shares = _Shares.of(size)
        turns = count()
        for _ in range(shares.multimodal):
            turn = next(turns)
            meme = self._matched(name, "multimodal", turn, mean=True)
            yield meme
            if turn < shares.confounders:
                yield self._text_confounder(meme, turn)
            if turn >= shares.multimodal - shares.confounders:
                yield self._image_confounder(meme)
        for _ in range(shares.unimodal):
            yield self._meme(name, "unimodal", next(turns), "insult", label=1)
        for _ in range(shares.random // 2):
            yield self._matched(name, "random", next(turns), mean=False)
        for _ in range(shares.random - shares.random // 2):
            yield self._meme(name, "random", next(turns), "chat", label=0)

    def _matched(self, split: str, kind: str, turn: int, mean: bool) -> Meme:
        """A praise or denial that is mean, or nice, over the picture whose turn it is."""
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
            text=self._fresh(tone, topic),
            label=label,
        )

    def _text_confounder(self, meme: Meme, turn: int) -> Meme:
        """The same caption over a picture of the opposite polarity."""
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
        """The same picture under a caption of the opposite tone."""
        tone = "denial" if meme.tone == "praise" else "praise"
        text = self._fresh(tone, meme.topic)
        return replace(meme, kind="image confounder", tone=tone, text=text, label=0)

    def _fresh(self, tone: str, topic: str) -> str:
        text = write(tone, topic, self._rng)
        while text in self._texts:
            text = write(tone, topic, self._rng)
        self._texts.add(text)
        return text


def _polarity(turn: int) -> str:
    return _POLARITIES[turn % 2]
