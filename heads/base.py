"""Base class of all heads; saving and loading of learned arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy.special import erf
from sklearn.base import BaseEstimator, ClassifierMixin

from heads.registry import REFIT
from runtime.files.array_files import read_arrays

ROWS_COMPARED_AT_ONCE = 256
"""To bound the memory of a `ComparingHead`."""


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


class ComparingHead(Head):
    """A head that compares each meme with the rows that it stored in `fit`.

    The fits of cross-validation store nearly the same memes, and comparing one meme with them takes
    most of the time of scoring it. So fits may `share` rows, and compare a meme with each row once.
    """

    rows_in_common_: np.ndarray
    """float64 (rows of all heads that share, columns)."""
    own_rows_: np.ndarray | slice
    """Places of this head's rows in `rows_in_common_`."""

    @property
    def rows_(self) -> np.ndarray:
        """The stored rows: float64 (stored rows, columns)."""
        return self.rows_in_common_[self.own_rows_]

    @rows_.setter
    def rows_(self, rows: np.ndarray) -> None:
        self.rows_in_common_, self.own_rows_ = rows, slice(None)

    @classmethod
    def share(cls, heads: Sequence[Self]) -> None:
        """Keep each distinct row once for all heads."""
        numbers: dict[bytes, int] = {}
        for head in heads:
            own = [numbers.setdefault(row.tobytes(), len(numbers)) for row in head.rows_]
            head.own_rows_ = np.array(own, dtype=np.intp)
        distinct = np.frombuffer(b"".join(numbers), dtype=np.float64).reshape(len(numbers), -1)
        for head in heads:
            head.rows_in_common_ = distinct

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Predict both classes' probabilities: float64 (N, 2)."""
        return self.predict_together([self], X)[0]

    @classmethod
    def predict_together(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        """Return `predict_proba` of each head; those that share rows compare X with them once."""
        starts = range(0, max(len(X), 1), ROWS_COMPARED_AT_ONCE)
        blocks = [
            cls._predict_block(heads, X[start : start + ROWS_COMPARED_AT_ONCE]) for start in starts
        ]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    @classmethod
    def _predict_block(cls, heads: Sequence[Self], X: np.ndarray) -> list[np.ndarray]:
        compared: dict[int, np.ndarray] = {}
        probabilities = []
        for head in heads:
            key = id(head.rows_in_common_)
            if key not in compared:
                compared[key] = head.compare(X)
            positive = head.probability(compared[key][:, head.own_rows_])
            probabilities.append(np.stack([1 - positive, positive], axis=1))
        return probabilities

    def compare(self, X: np.ndarray) -> np.ndarray:
        """Compare X with `rows_in_common_`: float (N, rows in common)."""
        raise NotImplementedError

    def probability(self, compared: np.ndarray) -> np.ndarray:
        """Predict positives' probability from the comparison with `rows_`: float64 (N,)."""
        raise NotImplementedError


def gelu(X: np.ndarray) -> np.ndarray:
    """Apply the Gaussian error linear unit (Hendrycks and Gimpel 2016), as PyTorch's `gelu`."""
    return X * (0.5 * (1 + erf(X * 0.5**0.5)))


def save_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Write the learned attributes `names` of a head, all of them arrays, to one npz file."""
    np.savez(path, **{name: getattr(head, name) for name in names})


def load_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Set the attributes that `save_arrays` wrote. Raises UserError for a damaged file."""
    for name, value in read_arrays(path, names, REFIT).items():
        setattr(head, name, value)
