"""What every head promises. A new line in HEADS is tested by this file as it stands."""

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
"""Heads that add their columns up, and so cannot know an XOR."""


@pytest.fixture(scope="module", params=HEADS)
def entry(request):
    return HEADS[request.param]


@pytest.fixture(scope="module")
def kind(entry):
    return entry.load()


def new(kind, seed=0):
    return kind(image_width=WIDTHS[0], seed=seed)


def fit(head, signal, count=600, seed=1):
    return head.fit(*problem(signal, count, seed))


def auroc(head, signal):
    X, y = problem(signal, 1000, 9)
    return roc_auc_score(y, head.predict_proba(X)[:, 1])


@pytest.fixture(scope="module")
def fitted(kind):
    return fit(new(kind), "linear")


@pytest.fixture(scope="module", name="X")
def memes():
    return problem("linear", 100, 5)[0]


def test_fit_returns_the_head_and_notes_the_classes(kind):
    head = new(kind)
    assert fit(head, "linear", 100) is head
    assert head.classes_.tolist() == [0, 1]


def test_probabilities_are_two_columns_that_sum_to_one(fitted, X):
    probability = fitted.predict_proba(X)
    assert (probability.shape, probability.dtype) == ((100, 2), np.float64)
    assert (probability >= 0).all() and (probability <= 1).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_predict_is_the_class_more_probable(fitted, X):
    expected = fitted.classes_[fitted.predict_proba(X).argmax(axis=1)]
    np.testing.assert_array_equal(fitted.predict(X), expected)


def test_same_seed_gives_the_same_probabilities(kind, fitted, X):
    # A head that draws from global state would notice.
    np.random.seed(99)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(99)
    again = fit(new(kind), "linear").predict_proba(X)
    np.testing.assert_array_equal(again, fitted.predict_proba(X))


def test_fitting_again_forgets_the_first_fit(kind, fitted, X):
    head = fit(fit(new(kind), "noise", 100), "linear")
    np.testing.assert_array_equal(head.predict_proba(X), fitted.predict_proba(X))


def test_saved_and_loaded_it_gives_the_same_bits(kind, fitted, X, tmp_path):
    fitted.save(tmp_path)
    loaded = kind.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert loaded.classes_.tolist() == [0, 1]


def test_nothing_saved_is_a_pickle(fitted, tmp_path):
    fitted.save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not path.read_bytes().startswith(PICKLE)
        if zipfile.is_zipfile(path):
            # An array of objects is a pickle inside.
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays)


def test_a_meme_scored_alone_equals_itself_in_a_batch(fitted, X):
    alone = np.concatenate([fitted.predict_proba(X[n : n + 1]) for n in range(len(X))])
    np.testing.assert_allclose(alone, fitted.predict_proba(X), rtol=0, atol=1e-12)


def test_scoring_leaves_its_input_alone(fitted, X):
    before = X.copy()
    fitted.predict_proba(X)
    np.testing.assert_array_equal(X, before)


def test_clone_keeps_the_parameters_and_drops_what_was_learned(kind, fitted):
    parameters = {"image_width": WIDTHS[0], "seed": 7, **kind.GRID[-1]}
    assert parameters.items() <= clone(kind(**parameters)).get_params().items()
    assert not any(name.endswith("_") for name in vars(clone(fitted)))


def test_what_there_is_to_choose_among_are_parameters_of_the_constructor(entry, kind):
    # A record keeps which rows a head is fitted on beside its parameters.
    known = set(inspect.signature(kind).parameters) - {"image_width", "seed", "fitted_on"}
    grid = entry.grid or kind.GRID
    assert grid and entry.fitted_on
    assert all(set(parameters) <= known for parameters in grid)


def test_what_it_stacks_is_fitted_before_it(entry):
    places = list(ENTRIES)
    own = places.index(next(name for name, other in HEADS.items() if other is entry))
    assert all(places.index(parent) < own for parent in entry.parents)


def test_it_learns_what_is_linearly_separable(fitted):
    assert auroc(fitted, "linear") > 0.9


def test_it_learns_what_neither_modality_tells_alone(kind):
    area = auroc(fit(new(kind), "xor"), "xor")
    if kind in [HEADS[name].load() for name in ADDITIVE]:
        assert 0.4 < area < 0.6
    else:
        assert area > 0.9


def test_a_constant_column_is_no_trouble(kind):
    X, y = problem("linear", 300, 1)
    X[:, [0, -1]] = 3.0
    probability = new(kind).fit(X[:200], y[:200]).predict_proba(X)
    assert np.isfinite(probability).all()
    assert roc_auc_score(y[200:], probability[200:, 1]) > 0.9
