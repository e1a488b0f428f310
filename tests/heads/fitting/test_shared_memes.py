"""kNN and SVM store each meme once for all fits of a space, and compare a new meme with it once."""

import numpy as np
import pytest

from heads.base import share_rows
from heads.knn import KnnHead
from heads.svm import SvmHead


@pytest.mark.parametrize(("head_class", "stored"), [(KnnHead, "memes_"), (SvmHead, "vectors_")])
def test_fits_on_the_same_rows_share_one_array(head_class, stored):
    X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    heads = [head_class(image_width=4).fit(X[rows], y[rows]) for rows in (slice(150), slice(200))]
    before = [getattr(head, stored) for head in heads]
    head_class.share(heads)
    assert heads[0].pool_ is heads[1].pool_
    assert len(heads[0].pool_) <= 200
    for head, expected in zip(heads, before, strict=True):
        np.testing.assert_array_equal(getattr(head, stored), expected)


def test_rows_that_differ_in_one_bit_are_not_joined():
    rows = np.array([[1.0, 2.0], [1.0, np.nextafter(2.0, 3.0)], [1.0, 2.0]])
    distinct, (places,) = share_rows([rows])
    assert len(distinct) == 2
    np.testing.assert_array_equal(distinct[places], rows)


def test_neighbours_that_tie_are_the_same_in_any_batch():
    """Exact repeats of a stored meme, with different labels, at the border of the k nearest."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(40, 16)), 5, axis=0).astype(np.float32)
    head = KnnHead(image_width=8, k=12).fit(X, rng.integers(0, 2, len(X)))
    new = rng.normal(size=(300, 16)).astype(np.float32)
    alone = np.concatenate([head.predict_proba(new[n : n + 1]) for n in range(len(new))])
    np.testing.assert_array_equal(alone, head.predict_proba(new))
