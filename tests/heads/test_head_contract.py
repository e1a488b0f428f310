"""Contract of all heads. A new line in HEADS is tested here without changes to this file."""

import inspect
import sys
import zipfile

import numpy as np
import pytest
from planted import WIDTHS, problem
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from heads.registry import ENTRIES, HEADS

PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
ADDITIVE = ("linear", "stack")
"""Heads that are linear in their columns, and so cannot learn an XOR."""


@pytest.fixture(scope="module", params=HEADS)
def entry(request):
    return HEADS[request.param]


@pytest.fixture(scope="module")
def head_class(entry):
    return entry.load()


def make_head(head_class, seed=0):
    return head_class(image_width=WIDTHS[0], seed=seed)


def fit(head, signal, count=600, seed=1):
    return head.fit(*problem(signal, count, seed))


def auroc(head, signal):
    X, y = problem(signal, 1000, 9)
    return roc_auc_score(y, head.predict_proba(X)[:, 1])


@pytest.fixture(scope="module")
def fitted(head_class):
    return fit(make_head(head_class), "linear")


@pytest.fixture(scope="module", name="X")
def memes():
    return problem("linear", 100, 5)[0]


def test_fit_returns_the_head_and_sets_the_classes(head_class):
    head = make_head(head_class)
    assert fit(head, "linear", 100) is head
    assert head.classes_.tolist() == [0, 1]


def test_probabilities_are_two_columns_that_sum_to_one(fitted, X):
    probability = fitted.predict_proba(X)
    assert (probability.shape, probability.dtype) == ((100, 2), np.float64)
    assert (probability >= 0).all() and (probability <= 1).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_predict_returns_the_more_probable_class(fitted, X):
    expected = fitted.classes_[fitted.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(fitted.predict(X), expected)


def test_same_seed_gives_the_same_probabilities(head_class, fitted, X):
    # Changes the result of a head that uses the global random state.
    np.random.seed(99)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(99)
    again = fit(make_head(head_class), "linear").predict_proba(X)
    np.testing.assert_array_equal(again, fitted.predict_proba(X))


def test_fitting_again_does_not_depend_on_the_first_fit(head_class, fitted, X):
    head = fit(fit(make_head(head_class), "noise", 100), "linear")
    np.testing.assert_array_equal(head.predict_proba(X), fitted.predict_proba(X))


def test_loaded_head_predicts_the_same_bits(head_class, fitted, X, tmp_path):
    fitted.save(tmp_path)
    loaded = head_class.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.classes_.tolist() == [0, 1]


def test_no_saved_file_is_a_pickle(fitted, tmp_path):
    fitted.save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not path.read_bytes().startswith(PICKLE)
        if zipfile.is_zipfile(path):
            # Object arrays contain pickles.
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays)


def test_prediction_does_not_depend_on_the_batch(fitted, X):
    alone = np.concatenate([fitted.predict_proba(X[n : n + 1]) for n in range(len(X))])
    np.testing.assert_allclose(alone, fitted.predict_proba(X), rtol=0, atol=1e-12)


def test_fits_that_share_memory_predict_the_same_together(head_class, X, tmp_path):
    heads = [fit(make_head(head_class), "linear", count) for count in (150, 200, 200)]
    alone = [head.predict_proba(X) for head in heads]
    head_class.share(heads)
    for rows in (slice(0, 1), slice(None)):
        together = head_class.predict_together(heads, X[rows])
        for found, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(found, expected[rows], rtol=0, atol=1e-12)
    heads[0].save(tmp_path)
    again = head_class.load(tmp_path).predict_proba(X)
    np.testing.assert_allclose(again, alone[0], rtol=0, atol=1e-12)


def test_prediction_does_not_change_its_input(fitted, X):
    before = X.copy()
    fitted.predict_proba(X)
    np.testing.assert_array_equal(X, before)


def test_clone_copies_parameters_but_not_learned_attributes(head_class, fitted):
    parameters = {"image_width": WIDTHS[0], "seed": 7, **head_class.GRID[-1]}
    assert parameters.items() <= clone(head_class(**parameters)).get_params().items()
    assert not any(name.endswith("_") for name in vars(clone(fitted)))


def test_grid_has_only_parameters_of_the_constructor(entry, head_class):
    # `fitted_on` is reserved: a record stores it beside the parameters.
    known = set(inspect.signature(head_class).parameters) - {"image_width", "seed", "fitted_on"}
    grid = entry.grid or head_class.GRID
    assert grid and entry.fitted_on
    assert all(set(parameters) <= known for parameters in grid)


def test_parents_are_fitted_first(entry):
    names = list(ENTRIES)
    index = names.index(next(name for name, other in HEADS.items() if other is entry))
    assert all(names.index(parent) < index for parent in entry.parents)


def test_linearly_separable_labels_are_learned(fitted):
    assert auroc(fitted, "linear") > 0.9


def test_xor_of_the_modalities_is_learned_except_by_linear_heads(head_class):
    area = auroc(fit(make_head(head_class), "xor"), "xor")
    if head_class in [HEADS[name].load() for name in ADDITIVE]:
        assert 0.4 < area < 0.6
    else:
        assert area > 0.9


def test_constant_columns_are_handled(head_class):
    X, y = problem("linear", 300, 1)
    X[:, [0, -1]] = 3.0
    probability = make_head(head_class).fit(X[:200], y[:200]).predict_proba(X)
    assert np.isfinite(probability).all()
    assert roc_auc_score(y[200:], probability[200:, 1]) > 0.9
