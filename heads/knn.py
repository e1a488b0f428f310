"""Retrieval: the labels of the nearest memes by cosine similarity."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from heads.base import Head, load_arrays, save_arrays

SHARPNESS = 10.0
"""A neighbour nearer by 0.1 of cosine similarity counts e times as much."""

PSEUDO_COUNT = 1.0
"""Neighbours' worth of the share of positives that is mixed in, so that none is certain."""

MOST_MEMES = 20_000
"""Memes kept, of however many: the time to score a meme grows with them."""

LEARNED = "classes_", "settings_", "memes_", "labels_"


class KnnHead(Head):
    """Share of positives among the k nearest memes, nearer ones counting more.

    Both modalities are scaled to unit length first, `image_scale` weighs the image's against the
    text's, so that the similarity is a weighted mean of the modalities' cosines.
    """

    GRID: ClassVar = [{"image_scale": 0.3}, {"image_scale": 1.0}]

    def __init__(
        self, image_width: int = 0, seed: int = 0, k: int = 64, image_scale: float = 1.0
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.k = k
        self.image_scale = image_scale

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Keep X float (N, columns) and y int (N,), 0 or 1."""
        self.classes_ = np.unique(y)
        self.settings_ = np.array([self.image_width, self.image_scale, self.k])
        kept = np.linspace(0, len(X) - 1, min(len(X), MOST_MEMES)).astype(int)
        self.memes_, self.labels_ = self._unit(X[kept]), y[kept].astype(np.int8)
        self._index()
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """float64 (N, 2)."""
        distance, place = self.neighbours_.kneighbors(self._unit(X))
        # Of unit vectors, the squared distance is twice what the cosine lacks to 1.
        weight = np.exp(-SHARPNESS * distance**2 / 2)
        share = self.labels_.mean()
        votes = (weight * self.labels_[place]).sum(axis=1) + PSEUDO_COUNT * share * weight.mean(1)
        positive = votes / (weight.sum(axis=1) + PSEUDO_COUNT * weight.mean(axis=1))
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        """Write memes.npz: the memes are the model."""
        save_arrays(self, folder / "memes.npz", LEARNED)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; ready to predict."""
        head = cls()
        load_arrays(head, folder / "memes.npz", LEARNED)
        head._index()
        return head

    def _unit(self, X: np.ndarray) -> np.ndarray:
        width, scale, _ = self.settings_
        image, text = X[:, : int(width)], X[:, int(width) :]
        parts = [normalize(image) * scale, normalize(text)] if width else [normalize(text)]
        return normalize(np.concatenate(parts, axis=1).astype(np.float64))

    def _index(self) -> None:
        count = min(int(self.settings_[2]), len(self.memes_))
        self.neighbours_ = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(self.memes_)
