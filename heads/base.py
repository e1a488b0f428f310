"""What every head shares."""

from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from runtime.array_files import read_arrays

REFIT = "Delete the head's folder and run: python pipeline.py fit-heads"
"""What to do about a saved head that is damaged."""


class Head(ClassifierMixin, BaseEstimator):
    """A binary classifier with `predict_proba`; its tuned threshold lives outside it."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Label of each row at 0.5: (N,)."""
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]


def save_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Write the learned attributes `names` of a head, all arrays, as one npz."""
    np.savez(path, **{name: getattr(head, name) for name in names})


def load_arrays(head: Head, path: Path, names: tuple[str, ...]) -> None:
    """Give a head the attributes that `save_arrays` wrote. Raises UserError for a damaged file."""
    for name, value in read_arrays(path, names, REFIT).items():
        setattr(head, name, value)
