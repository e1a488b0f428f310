"""Base class of all heads; saving and loading of learned arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from heads.registry import REFIT
from runtime.array_files import read_arrays


class Head(ClassifierMixin, BaseEstimator):
    """A binary classifier with `predict_proba`. Its tuned threshold is stored in head.json.

    A head defines `fit`, or `fit_together` if it can share work between fits.
    """

    STACKED: ClassVar = False
    """Which fits `fit_together` is given: some fits of one candidate on different rows, or else all
    candidates on the same rows."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit on X float (N, columns) and y int (N,), 0 or 1."""
        self.fit_together([self], [(X, y)])
        return self

    @classmethod
    def fit_together(
        cls, heads: Sequence[Self], data: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> None:
        """Fit each head on its X and y, as `fit` would."""
        for head, (X, y) in zip(heads, data, strict=True):
            head.fit(X, y)

    @classmethod
    def predict_together(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        """Return `predict_proba` of each head; they may share work."""
        return [head.predict_proba(X) for head in heads]

    @classmethod
    def share(cls, heads: Sequence[Self]) -> None:
        """Let fits of one space keep once what they have in common. By default, that is nothing."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict the label of each row at threshold 0.5: (N,)."""
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]


def evenly_spaced(count: int, maximum: int) -> np.ndarray:
    """Return at most `maximum` of the row numbers 0 to count - 1, evenly spaced: int (R,)."""
    return np.linspace(0, count - 1, min(count, maximum)).astype(int)


def share_rows(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the distinct rows of some float64 arrays (n, columns), and the places of each array's.

    The fits of cross-validation store nearly the same memes. When one meme is scored, reading what
    they store takes most of the time.
    """
    numbers: dict[bytes, int] = {}
    places = [
        np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], dtype=np.intp)
        for rows in arrays
    ]
    distinct = np.frombuffer(b"".join(numbers), dtype=np.float64)
    return distinct.reshape(len(numbers), -1), places


def save_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Write the learned attributes `names` of a head, all of them arrays, to one npz file."""
    np.savez(path, **{name: getattr(head, name) for name in names})


def load_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Set the attributes that `save_arrays` wrote. Raises UserError for a damaged file."""
    for name, value in read_arrays(path, names, REFIT).items():
        setattr(head, name, value)
