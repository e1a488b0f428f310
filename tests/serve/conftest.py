"""Fixtures of the service: a fake predictor, memes to review, and an app over them."""

import threading
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from PIL import Image

from heads.predict import Scorer
from serve.explanations import Explanation, Neighbour, Part
from serve.review.review_queue import ReviewMeme, ReviewQueue


class FakePrediction(NamedTuple):
    """Like serve.predictor.Prediction."""

    probability: float
    decision: bool
    fault: str
    caption: str


class FakePredictor:
    """Like serve.predictor.Predictor: the probability is the share of "h" in the caption."""

    name, stamp, ensemble, version = "fake", "c0ffee", "decaf", "1.2.3"
    threshold, prior = 0.5, "train"

    def __init__(self):
        self.batches = []
        self.going_on = threading.Event()
        self.going_on.set()

    def predict(self, pictures, captions):
        self.batches.append(len(captions))
        self.going_on.wait(10)
        if "crash" in captions:
            raise RuntimeError("secret of the machine: /etc/passwd")
        return [self._one(*meme) for meme in zip(pictures, captions, strict=True)]

    def _one(self, picture, caption):
        if picture is not None:
            try:
                Image.open(BytesIO(picture)).load()
            except Exception:
                return FakePrediction(float("nan"), False, "not a picture", caption)
        share = caption.count("h") / max(len(caption), 1)
        return FakePrediction(share, share > self.threshold, "", caption)


class FakeExplainer:
    """Like serve.explanations.Explainer, from the letters of the caption."""

    def __init__(self):
        self.running = 0
        self.going_on = threading.Event()
        self.going_on.set()

    def explain(self, picture, caption):
        self.running += 1
        self.going_on.wait(10)
        words = [Part(word, (len(word) - 4) / 50) for word in caption.split()]
        cells = [Part(f"{k // 3},{k % 3}", (k - 3) / 40) for k in range(8, -1, -1)]
        near = [Neighbour("01", "a happy cat", 0, 0.91), Neighbour("02", "", 1, 0.5)]
        both = (0.6, 0.2) if picture and caption else (None, None)
        return Explanation(0.75, *both, words, cells if picture else [], near, 0.97)


@pytest.fixture
def killed(monkeypatch):
    """Context in which a command is killed before its third part is scored."""
    score, parts = Scorer.score, count(1)

    def score_or_die(*arguments):
        if next(parts) == 3:
            raise KeyboardInterrupt
        return score(*arguments)

    @contextmanager
    def context():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Scorer, "score", score_or_die)
            yield

    return context


@pytest.fixture
def fake_explainer():
    return FakeExplainer()


@pytest.fixture
def predictor():
    return FakePredictor()


@pytest.fixture
def png():
    """The bytes of a small picture."""
    data = BytesIO()
    Image.new("RGB", (160, 120), "teal").save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def doubtful(tmp_path, png):
    """Three memes to review; the second has no picture."""
    (tmp_path / "a.png").write_bytes(png)
    memes = [ReviewMeme(row, f"m{row}", f"caption {row}", 0.5 + row / 100) for row in (4, 7, 9)]
    return SimpleNamespace(memes=memes, pictures={4: tmp_path / "a.png", 9: tmp_path / "gone.png"})


@pytest.fixture
def queue(tmp_path, doubtful):
    """A queue of `doubtful`, in review.jsonl."""
    queue = ReviewQueue(tmp_path / "review.jsonl", doubtful.memes, 0.5, "c0ffee")
    yield queue
    queue.close()


@pytest.fixture
def make_app(predictor, queue, doubtful):
    """f(**options of create_app) -> an app over the fake predictor."""

    from serve.api import create_app  # which needs fastapi

    def make(**options):
        return create_app(predictor, queue, doubtful, **options)

    return make
