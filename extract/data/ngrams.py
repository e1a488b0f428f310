"""Lexical caption embeddings: TF-IDF of character n-grams, reduced by truncated SVD.

This is latent semantic analysis (Deerwester et al. 1990), with scikit-learn. It is fitted on the
captions of train and val rows and uses neither labels nor pretrained weights.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from runtime.errors import user_error_if_damaged
from runtime.files.array_files import read_arrays
from runtime.files.json_files import read_object, write_json

MAX_DIM = 128

NGRAM_SIZES = (2, 5)

MIN_CAPTIONS = 3
"""An n-gram must occur in this many captions."""

MAX_NGRAMS = 1 << 15


@dataclass(frozen=True)
class LexicalEncoder:
    """A TF-IDF vectorizer and the axes that its weights are projected on."""

    vectorizer: TfidfVectorizer
    axes: np.ndarray
    """float64 (n-grams, dim)."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.axes.shape[1]

    def embed(self, captions: list[str]) -> np.ndarray:
        """Embed captions as float32 (N, dim). A caption without a known n-gram is all zeros."""
        return (self.vectorizer.transform(captions) @ self.axes).astype(np.float32)


def fit_lexical(captions: list[str], seed: int) -> LexicalEncoder | None:
    """Fit n-grams and axes on captions; return None if the captions have too little in common."""
    # Imported here: predicting does not need it, and must start fast.
    from sklearn.decomposition import TruncatedSVD

    vectorizer = _vectorizer(min_df=MIN_CAPTIONS, max_features=MAX_NGRAMS)
    try:
        weights = vectorizer.fit_transform(captions)
    except ValueError:  # no n-gram occurs often enough
        return None
    dim = min(MAX_DIM, *(size - 1 for size in weights.shape))
    if dim < 1:
        return None
    svd = TruncatedSVD(dim, random_state=seed).fit(weights)
    return LexicalEncoder(vectorizer, np.ascontiguousarray(svd.components_.T))


def save_lexical(lexical: LexicalEncoder, folder: Path) -> None:
    """Write ngrams.json and axes.npz into `folder`."""
    ngrams = lexical.vectorizer.get_feature_names_out().tolist()
    write_json(folder / "ngrams.json", {"ngrams": ngrams})
    np.savez(folder / "axes.npz", axes=lexical.axes, idf=lexical.vectorizer.idf_)


def load_lexical(folder: Path, remedy: str) -> LexicalEncoder:
    """Read what `save_lexical` wrote. Raises UserError with `remedy` for a damaged file."""
    ngrams_path, axes_path = folder / "ngrams.json", folder / "axes.npz"
    arrays = read_arrays(axes_path, ("idf", "axes"), remedy)
    ngrams = read_object(ngrams_path, remedy)
    with user_error_if_damaged(ngrams_path, remedy):
        vectorizer = _vectorizer(vocabulary=ngrams["ngrams"])
        vectorizer.idf_ = arrays["idf"]
    return LexicalEncoder(vectorizer, arrays["axes"])


def _vectorizer(**settings: object) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=NGRAM_SIZES, sublinear_tf=True, **settings
    )
