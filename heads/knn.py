"""k-nearest neighbours: the labels of the most similar memes by cosine similarity."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from heads.base import ComparingHead, evenly_spaced, load_arrays, save_arrays

SHARPNESS = 10.0
"""A neighbour whose cosine similarity is 0.1 higher counts e times as much."""

PSEUDO_COUNT = 1.0
"""The share of positives is mixed in with the weight of this many neighbours, so that no
probability is 0 or 1."""

MAX_MEMES = 20_000
"""Maximum of memes stored, since the time to score a meme grows with their number."""

PART_COLUMNS = 16
"""Cosines of which only the largest is first compared with others."""

LEARNED = "classes_", "settings_", "memes_", "labels_"


class KnnHead(ComparingHead):
    """Share of positives among the k nearest memes; nearer ones count more.

    Each modality is first scaled to unit length, then the image by `image_scale`. The similarity is
    therefore a weighted mean of the modalities' cosine similarities.
    """

    GRID: ClassVar = [{"image_scale": 0.3}, {"image_scale": 1.0}]

    memes_ = ComparingHead.rows_
    """The stored memes' unit vectors."""

    def __init__(
        self, image_width: int = 0, seed: int = 0, k: int = 64, image_scale: float = 1.0
    ) -> None:
        self.image_width = image_width
        self.seed = seed
        self.k = k
        self.image_scale = image_scale

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Store X float (N, columns) and y int (N,), 0 or 1; at most MAX_MEMES rows."""
        self.classes_ = np.unique(y)
        self.settings_ = np.array([self.image_width, self.image_scale, self.k])
        stored = evenly_spaced(len(X), MAX_MEMES)
        self.memes_, self.labels_ = self._normalise(X[stored]), y[stored].astype(np.int8)
        return self

    def compare(self, X: np.ndarray) -> np.ndarray:
        """Return the cosine of each row of X and each meme: float32 (N, memes)."""
        # Rounded, so that memes which are equally near remain so in any batch.
        return (self._normalise(X) @ self.rows_in_common_.T).astype(np.float32)

    def probability(self, compared: np.ndarray) -> np.ndarray:
        """Predict positives' probability from cosines: float64 (N,)."""
        count = min(int(self.settings_[2]), compared.shape[1])
        nearest = largest(compared, count)
        cosine = np.take_along_axis(compared, nearest, axis=1)
        weight = np.exp(SHARPNESS * (cosine.astype(np.float64) - 1))
        votes = (weight * self.labels_[nearest]).sum(axis=1)
        expected = PSEUDO_COUNT * weight.mean(axis=1)
        return (votes + expected * self.labels_.mean()) / (weight.sum(axis=1) + expected)

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


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the `count` largest values of each row, in order of places: (N, count).

    Of equal values, the first. So the result depends on no other row, processor or library.
    `values` is float32 (N, columns), without NaN. Takes as long as `torch.topk`, which chooses any
    of equal values; `np.argpartition` takes three times as long on 20,000 columns.
    """
    rows, columns = np.nonzero(values >= _lower_bound(values, count)[:, None])
    counts = np.bincount(rows, minlength=len(values))
    position = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    candidates = np.full((len(values), counts.max(initial=count)), -np.inf, dtype=np.float32)
    places = np.zeros(candidates.shape, dtype=np.intp)
    candidates[rows, position], places[rows, position] = values[rows, columns], columns
    last = np.partition(candidates, -count, axis=1)[:, [-count]]
    above, equal = candidates > last, candidates == last
    missing = count - above.sum(axis=1, keepdims=True)
    kept = above | (equal & (equal.cumsum(axis=1) <= missing))
    return places[kept].reshape(len(values), count)


def _lower_bound(values: np.ndarray, count: int) -> np.ndarray:
    """Return a number for each row that at least `count` of its values reach: float32 (N,).

    It is the `count`-th largest of the maxima of parts of the row, which are fewer to search.
    """
    parts = values.shape[1] // PART_COLUMNS
    if parts < count:
        return np.full(len(values), -np.inf, dtype=np.float32)
    rows = values[:, : parts * PART_COLUMNS].reshape(len(values), PART_COLUMNS, parts)
    return np.partition(rows.max(axis=1), -count, axis=1)[:, -count]


def _unit(X: np.ndarray) -> np.ndarray:
    """Scale rows to unit length, zero rows excepted.

    scikit-learn's `normalize` gives the same bits, but its checks take longer than one meme.
    """
    length = np.sqrt(np.einsum("ij,ij->i", X, X))
    return X / np.where(length == 0, 1, length)[:, None]
