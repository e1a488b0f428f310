"""Captions as weighted character n-grams, condensed: what the letters say, whatever was pretrained.

Latent semantic analysis (Deerwester et al. 1990) of TF-IDF weights, with scikit-learn. Fitted on
captions of train and val rows and on no label.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from extract.spaces.checkpoint import remake
from runtime.array_files import read_arrays
from runtime.errors import damage_named
from runtime.json_files import read_object, write_json

DIM = 128

NGRAMS = (2, 5)

RAREST = 3
"""Captions that an n-gram must occur in."""

MOST_NGRAMS = 1 << 15


@dataclass(frozen=True)
class Lexical:
    """n-grams, their weights and the axes they are projected on."""

    vectorizer: TfidfVectorizer
    axes: np.ndarray
    """float64 (n-grams, dim)."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.axes.shape[1]

    def embed(self, captions: list[str]) -> np.ndarray:
        """float32 (N, dim); a caption without a known n-gram is all zeros."""
        return (self.vectorizer.transform(captions) @ self.axes).astype(np.float32)


def fit_lexical(captions: list[str], seed: int) -> Lexical | None:
    """Learn from captions; None if they share too little to be told apart by it."""
    vectorizer = _vectorizer(min_df=RAREST, max_features=MOST_NGRAMS)
    try:
        weights = vectorizer.fit_transform(captions)
    except ValueError:  # no n-gram occurs often enough
        return None
    dim = min(DIM, *(size - 1 for size in weights.shape))
    if dim < 1:
        return None
    svd = TruncatedSVD(dim, random_state=seed).fit(weights)
    return Lexical(vectorizer, np.ascontiguousarray(svd.components_.T))


def save_lexical(lexical: Lexical, folder: Path) -> None:
    """Write ngrams.json and axes.npz into `folder`."""
    ngrams = lexical.vectorizer.get_feature_names_out().tolist()
    write_json(folder / "ngrams.json", {"ngrams": ngrams})
    np.savez(folder / "axes.npz", axes=lexical.axes, idf=lexical.vectorizer.idf_)


def load_lexical(folder: Path) -> Lexical:
    """Read what `save_lexical` wrote."""
    ngrams, axes = folder / "ngrams.json", folder / "axes.npz"
    arrays = read_arrays(axes, ("idf", "axes"), remake(folder))
    words = read_object(ngrams, remake(folder))
    with damage_named(ngrams, remake(folder)):
        vectorizer = _vectorizer(vocabulary=words["ngrams"])
        vectorizer.idf_ = arrays["idf"]
    return Lexical(vectorizer, arrays["axes"])


def _vectorizer(**settings: object) -> TfidfVectorizer:
    return TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True, **settings)
