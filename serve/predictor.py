"""Predictor: load a finished run once, then score many memes."""

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from extract.data.image_decoding import THUMBNAIL_SIZE, decode_file
from extract.data.tokenisation import LENGTH_STEP
from extract.predict import load_spaces
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.text_cells import read_caption
from extract.tables.read_memes import ReadResult
from features.feature_table import FeatureTable
from heads.config import TRAINED
from heads.predict import load_scorer
from runtime import memefuse_version
from runtime.progress import collect_messages, log
from serve.drift.recent_memes import RecentMemes

NUMBER = re.compile(r"\d+%?")

WARM_TOKENS = 64
"""Captions of up to this many tokens are tried before the service starts."""


class Prediction(NamedTuple):
    """What is known of one meme."""

    probability: float
    """Of being hateful; NaN if there is a fault."""
    decision: bool
    """Whether the probability exceeds the threshold; False if there is a fault."""
    fault: str
    """Why the picture or the caption cannot be used; empty if they can."""
    caption: str
    """As it was used: given, or read off the picture if the run does that."""


class Predictor:
    """A run's models, loaded once. Threads may share it.

    Embeddings are those of `extract` bit for bit, so a meme has the probability of `submit` to the
    digits that are written, whichever memes it comes with, if `prior` is SUBMITTED. With TRAINED,
    the default, probabilities are not moved to the shares of a contest's val or test rows; a number
    is the share of hateful memes that you expect.
    """

    def __init__(self, run: Path, device: str = "auto", prior: float | str = TRAINED) -> None:
        """Load the run in the folder `run`. Raises UserError if it is not finished or damaged."""
        self.name = run.name
        self.prior = prior
        self.version = memefuse_version()
        self.spaces = load_spaces(run / "backbones", device)
        self.stamp = self.spaces.checkpoint.stamp
        self.scorer = load_scorer(run, self.stamp)
        self.ensemble = self.scorer.ensemble_checksum
        self.threshold = self.scorer.threshold
        self._said: set[str] = set()
        # Heads are loaded when they are first used.
        self.predict([None], ["warm up"])

    def predict(
        self,
        pictures: list[bytes | Path | None],
        captions: list[str],
        read_absent: bool = True,
        recent: RecentMemes | None = None,
    ) -> list[Prediction]:
        """Score memes, each a picture file (or its bytes), a caption, or both.

        If the run reads absent captions off their pictures, so does this with `read_absent`.
        Memes without a fault are added to `recent`.
        """
        with _readable(pictures, captions) as (reading, faults):
            with collect_messages() as remarks:
                memes = self.spaces.load(reading, "blank", read_absent)
            self._say_once(remarks)
            embedded = self.spaces.embed(memes)
        faulty = [fault != "" for fault in faults]
        trained = np.where(faulty, np.nan, self.scorer.score(embedded, TRAINED))
        if recent is not None:
            recent.add(memes.captions(), embedded, trained)
        probability = self.scorer.adjust(trained, self.prior)
        return [
            Prediction(float(p), bool(p > self.threshold), fault, caption)
            for p, fault, caption in zip(probability, faults, memes.captions(), strict=True)
        ]

    def warm_up(self) -> None:
        """Try small batches of captions of usual lengths, so that no early request waits for it.

        The first memes of each length of captions take several times as long as later ones.
        """
        text, start = self.spaces.text, time.perf_counter()
        limit = min(self.spaces.checkpoint.max_tokens, text.max_tokens, WARM_TOKENS)
        lengths = range(LENGTH_STEP, limit + 1, LENGTH_STEP)
        word, special = "a ", len(text.tokenizer.encode("").ids)
        for length in lengths:
            for _ in range(2):  # small batches are tried with the second of a shape
                self.predict([None], [word * (length - special)])
        seconds = time.perf_counter() - start
        log(f"tried captions of up to {limit} tokens in small batches: {seconds:.1f} s")

    def _say_once(self, remarks: list[str]) -> None:
        """Log what was not said of other memes: a service would say it with every request."""
        for remark in remarks:
            if (kind := NUMBER.sub("", remark)) not in self._said:
                self._said.add(kind)
                log(f"{remark} (not said again)")

    def embed(self, pictures: list[bytes | Path | None], captions: list[str]) -> FeatureTable:
        """Return the embeddings of memes in each space of the run; no absent caption is read."""
        with _readable(pictures, captions) as (reading, _):
            return self.spaces.embed(self.spaces.load(reading, "blank", read_absent=False))


@contextmanager
def _readable(
    pictures: list[bytes | Path | None], captions: list[str]
) -> Iterator[tuple[ReadResult, list[str]]]:
    """Yield the memes as if they had been read from a table, and the fault of each or ""."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [_path(one, number, Path(folder)) for number, one in enumerate(pictures)]
        picture_faults = [_picture_fault(path) for path in paths]
        texts, text_faults = zip(*(read_caption(text.strip()) for text in captions), strict=True)
        both = zip(picture_faults, text_faults, strict=True)
        faults = [one or other or "" for one, other in both]
        yield _reading(paths, picture_faults, list(texts)), faults


def _path(picture: bytes | Path | None, number: int, folder: Path) -> str:
    """Return the path of a picture; write its bytes into `folder`. Empty without a picture."""
    if picture is None:
        return ""
    if isinstance(picture, Path):
        return str(picture)
    path = folder / str(number)
    path.write_bytes(picture)
    return str(path)


def _picture_fault(path: str) -> str:
    if path and not Path(path).is_file():
        return "the picture is not a file"
    return decode_file(path, THUMBNAIL_SIZE, "bilinear").fault


def _reading(paths: list[str], faults: list[str], captions: list[str]) -> ReadResult:
    """Return a table of memes as if it had been read from a file."""
    count = len(paths)
    rows = {
        "id": [str(number) for number in range(count)],
        "split": ["test"] * count,
        "image": ["" if fault else path for path, fault in zip(paths, faults, strict=True)],
        "caption": captions,
        "label": np.full(count, -1, np.int8),
        "order": np.arange(count, dtype=np.int32),
        "file": [""] * count,
        "line": np.arange(count),
    }
    return MemeTable(pd.DataFrame(rows), "id", "label"), [], []
