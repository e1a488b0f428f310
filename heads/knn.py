"""k-nearest neighbours: the labels of the most similar memes by cosine similarity."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from heads.base import Head, evenly_spaced, load_arrays, save_arrays, share_rows

SHARPNESS = 10.0
"""A neighbour whose cosine similarity is 0.1 higher counts e times as much."""

PSEUDO_COUNT = 1.0
"""The share of positives is mixed in with the weight of this many neighbours, so that no
probability is 0 or 1."""

MAX_MEMES = 20_000
"""Maximum of memes stored, since the time to score a meme grows with their number."""

ROWS_PER_BLOCK = 256
"""Rows predicted at once, to bound the memory."""

LEARNED = "classes_", "settings_", "memes_", "labels_"


class KnnHead(Head):
    """Share of positives among the k nearest memes; nearer ones count more.

    Each modality is first scaled to unit length, then the image by `image_scale`. The similarity is
    therefore a weighted mean of the modalities' cosine similarities.
    """

    GRID: ClassVar = [{"image_scale": 0.3}, {"image_scale": 1.0}]

    def __init__(
        self, image_width: int = 0, seed: int = 0, k: int = 64, image_scale: float = 1.0
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.k = k
        self.image_scale = image_scale

    @property
    def memes_(self) -> np.ndarray:
        """The stored memes: float64 (memes, columns), unit vectors."""
        return self.pool_[self.places_]

    @memes_.setter
    def memes_(self, memes: np.ndarray) -> None:
        self.pool_, self.places_ = memes, np.arange(len(memes))

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Store X float (N, columns) and y int (N,), 0 or 1; at most MAX_MEMES rows."""
        self.classes_ = np.unique(y)
        self.settings_ = np.array([self.image_width, self.image_scale, self.k])
        stored = evenly_spaced(len(X), MAX_MEMES)
        self.memes_, self.labels_ = self._normalise(X[stored]), y[stored].astype(np.int8)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        return self.predict_together([self], X)[0]

    @classmethod
    def predict_together(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        """Return `predict_proba` of each head; those that share memes compare X with them once."""
        blocks = [
            cls._predict_block(heads, X[start : start + ROWS_PER_BLOCK])
            for start in range(0, max(len(X), 1), ROWS_PER_BLOCK)
        ]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    @classmethod
    def _predict_block(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        similarity: dict[tuple[int, bytes], np.ndarray] = {}
        probabilities = []
        for head in heads:
            key = id(head.pool_), head.settings_.tobytes()
            if key not in similarity:
                # Rounded, so that memes which are equally near remain so in any batch.
                similarity[key] = np.round(head._normalise(X) @ head.pool_.T, 12)
            probabilities.append(head._vote(similarity[key]))
        return probabilities

    @classmethod
    def share(cls, heads: Sequence[Self]) -> None:
        """Store each meme once for all heads."""
        pool, places = share_rows([head.memes_ for head in heads])
        for head, own in zip(heads, places, strict=True):
            head.pool_, head.places_ = pool, own

    def _vote(self, similarity: np.ndarray) -> np.ndarray:
        """Return both classes' probabilities, given the cosine to each meme of the pool."""
        own = similarity[:, self.places_]
        left_out = max(own.shape[1] - int(self.settings_[2]), 0)
        index = np.argpartition(own, left_out, axis=1)[:, left_out:]
        weight = np.exp(SHARPNESS * (np.take_along_axis(own, index, axis=1) - 1))
        share = self.labels_.mean()
        votes = (weight * self.labels_[index]).sum(axis=1) + PSEUDO_COUNT * share * weight.mean(1)
        positive = votes / (weight.sum(axis=1) + PSEUDO_COUNT * weight.mean(axis=1))
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write memes.npz: the stored memes and their labels."""
        save_arrays(self, folder / "memes.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        head = cls()
        load_arrays(head, folder / "memes.npz", LEARNED)
        return head

    def _normalise(self, X: np.ndarray) -> np.ndarray:
        width, scale, _ = self.settings_
        image, text = X[:, : int(width)], X[:, int(width) :]
        parts = [_unit(image) * scale, _unit(text)] if width else [_unit(text)]
        return _unit(np.concatenate(parts, axis=1).astype(np.float64))


def _unit(X: np.ndarray) -> np.ndarray:
    """Scale rows to unit length, zero rows excepted.

    scikit-learn's `normalize` gives the same bits, but its checks take longer than one meme.
    """
    length = np.sqrt(np.einsum("ij,ij->i", X, X))
    return X / np.where(length == 0, 1, length)[:, None]
