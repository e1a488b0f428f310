"""Heads that compare memes with stored rows keep each row once, and compare a meme with it once."""

import numpy as np
import planted
import pytest
from scipy.special import logit
from sklearn.svm import SVC

from heads.base import ComparingHead
from heads.knn import PART_COLUMNS, KnnHead, largest
from heads.registry import ENTRIES
from heads.svm import MARGIN_TO_LOGIT, SvmHead

COMPARING = sorted(
    {c for e in ENTRIES.values() if issubclass(c := e.load(), ComparingHead)}, key=str
)


@pytest.fixture(params=COMPARING)
def fits(request):
    """Two fits of a head, on rows that overlap."""
    X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    return [request.param(image_width=4).fit(X[rows], y[rows]) for rows in (slice(150), slice(200))]


def test_fits_that_share_rows_predict_the_same(fits):
    new = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    rows, alone = [head.rows_ for head in fits], [head.predict_proba(new) for head in fits]
    type(fits[0]).share(fits)
    assert fits[0].rows_in_common_ is fits[1].rows_in_common_
    assert len(fits[0].rows_in_common_) < sum(map(len, rows))
    for head, expected in zip(fits, rows, strict=True):
        np.testing.assert_array_equal(head.rows_, expected)
    for found, expected in zip(type(fits[0]).predict_together(fits, new), alone, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_rows_that_differ_in_one_bit_are_not_joined():
    head, rows = KnnHead(), np.array([[1.0, 2.0], [1.0, np.nextafter(2.0, 3.0)], [1.0, 2.0]])
    head.rows_ = rows
    KnnHead.share([head])
    assert len(head.rows_in_common_) == 2
    np.testing.assert_array_equal(head.rows_, rows)


def test_neighbours_that_tie_are_the_same_in_any_batch():
    """Exact repeats of a stored meme, with different labels, at the border of the k nearest."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(40, 16)), 5, axis=0).astype(np.float32)
    head = KnnHead(image_width=8, k=12).fit(X, rng.integers(0, 2, len(X)))
    new = rng.normal(size=(300, 16)).astype(np.float32)
    alone = np.concatenate([head.predict_proba(new[n : n + 1]) for n in range(len(new))])
    np.testing.assert_array_equal(alone, head.predict_proba(new))


@pytest.mark.parametrize(
    ("head_class", "file", "name"),
    [(KnnHead, "memes.npz", "memes_"), (SvmHead, "vectors.npz", "vectors_")],
)
def test_saved_rows_keep_the_name_that_older_runs_have(head_class, file, name, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    head = head_class(image_width=4).fit(X, (X[:, 0] > 0).astype(int))
    head.save(tmp_path)
    with np.load(tmp_path / file) as saved:
        np.testing.assert_array_equal(saved[name], head.rows_)


@pytest.mark.parametrize("columns", [5, 5 * PART_COLUMNS, 5 * PART_COLUMNS + 3, 1000])
@pytest.mark.parametrize("distinct", [2, 7, 10**6])
def test_largest_values_are_found_and_of_equal_ones_the_first(columns, distinct):
    values = np.random.default_rng(0).integers(0, distinct, (50, columns)).astype(np.float32)
    expected = np.sort(np.argsort(-values, axis=1, kind="stable")[:, :5], axis=1)
    np.testing.assert_array_equal(largest(values, 5), expected)
    assert largest(values[:0], 5).shape == (0, 5)


def test_svm_has_the_margins_of_scikit_learn_though_its_kernel_is_computed_in_blocks(monkeypatch):
    monkeypatch.setattr("heads.svm.KERNEL_ROWS", 64)
    X, y = planted.problem("xor", 400, 0, strength=3.0)
    # Far from zero, where differences of large numbers could lose digits.
    X += 20
    fitted, new = slice(0, 300), slice(300, None)
    margins = SVC(C=1.0).fit(X[fitted].astype(float), y[fitted]).decision_function(X[new])
    probability = SvmHead().fit(X[fitted], y[fitted]).predict_proba(X[new])[:, 1]
    np.testing.assert_allclose(logit(probability) / MARGIN_TO_LOGIT, margins, atol=1e-3)
