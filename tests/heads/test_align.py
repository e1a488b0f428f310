"""The align head: confounders, several independent networks, and missing modalities."""

import numpy as np
import pytest
import torch
from planted import problem

from heads.align import ROWS_PER_BLOCK, AlignHead, network_logits
from heads.fitting.parallel_fits import map_in_threads
from heads.linear import LinearHead
from heads.networks import align_training
from heads.networks.align_training import NETWORKS, initial_weights

WIDTHS = 64, 64
"""Image and text columns of a real space."""


def accuracy(head):
    """Accuracy on fresh rows of a head that is fitted on labels that are the XOR of two classes."""
    head.fit(*problem("xor", 2000, 1, WIDTHS))
    X, y = problem("xor", 1000, 9, WIDTHS)
    return (head.predict(X) == y).mean()


@pytest.mark.parametrize("parameters", AlignHead.GRID)
def test_confounders_are_learned_which_a_linear_head_cannot(parameters):
    assert accuracy(AlignHead(WIDTHS[0], **parameters)) > 0.9
    assert accuracy(LinearHead(WIDTHS[0])) < 0.6


@pytest.mark.parametrize("image_width", [0, 6, 10])
@pytest.mark.parametrize("zeros", [slice(0), slice(6), slice(6, None), slice(None)])
def test_missing_or_zero_modalities_give_finite_probabilities(image_width, zeros):
    X, y = problem("linear", 200, 1)
    X[:, zeros] = 0
    probability = AlignHead(image_width).fit(X, y).predict_proba(X)
    assert np.isfinite(probability).all()


@pytest.mark.parametrize("missing", ["columns", "values"])
def test_one_modality_alone_is_learned(missing):
    X, y = problem("linear", 800, 1)
    if missing == "columns":
        X, image_width = X[:, :6], 0
    else:
        X[:, 6:], image_width = 0, 6
    head = AlignHead(image_width).fit(X[:600], y[:600])
    assert (head.predict(X[600:]) == y[600:]).mean() > 0.9


def test_few_rows_are_enough_to_fit():
    X, y = problem("linear", 4, 2)
    assert np.isfinite(AlignHead(6).fit(X, y).predict_proba(X)).all()


def test_rows_of_several_blocks_are_predicted_in_their_order():
    X, y = problem("linear", 2 * ROWS_PER_BLOCK + 5, 1)
    head = AlignHead(6).fit(X[:300], y[:300])
    backwards = head.predict_proba(X[::-1].copy())[::-1]
    np.testing.assert_allclose(head.predict_proba(X), backwards, rtol=0, atol=1e-12)


def test_logit_is_that_of_each_network_alone():
    generator = torch.Generator().manual_seed(0)
    weights = initial_weights(6, 10, generator)
    X = torch.randn(20, 10, generator=generator)
    logits = align_training.network_logits(weights, X)
    assert logits.shape == (NETWORKS, 20) and not torch.allclose(logits[0], logits[1])
    for n in range(NETWORKS):
        alone = {name: value[n : n + 1] for name, value in weights.items()}
        torch.testing.assert_close(align_training.network_logits(alone, X)[0], logits[n])


def test_networks_fitted_in_parallel_equal_those_fitted_alone():
    X, y = problem("xor", 300, 1)

    def fit(seed):
        return AlignHead(6, seed).fit(X, y).predict_proba(X)

    parallel = map_in_threads(fit, [0, 1, 2, 3])
    for seed, found in enumerate(parallel):
        np.testing.assert_array_equal(found, fit(seed))
    assert (parallel[0] != parallel[1]).any()


@pytest.mark.parametrize("counts", [(300, 300), (300, 290, 150)])
def test_heads_trained_together_equal_those_trained_alone(counts):
    data = [problem("xor", count, seed) for seed, count in enumerate(counts)]
    heads = [AlignHead(6, seed=seed) for seed in range(len(counts))]
    AlignHead.fit_together(heads, data)
    X = problem("xor", 50, 9)[0]
    for seed, (head, rows) in enumerate(zip(heads, data, strict=True)):
        alone = AlignHead(6, seed=seed).fit(*rows).predict_proba(X)
        np.testing.assert_allclose(head.predict_proba(X), alone, rtol=0, atol=1e-5)


def test_numpy_predicts_what_was_trained_in_pytorch():
    weights = initial_weights(6, 10, torch.Generator().manual_seed(0))
    X = torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    X[0] = 0
    trained = align_training.network_logits({k: v.double() for k, v in weights.items()}, X)
    found = network_logits({k: v.double().numpy() for k, v in weights.items()}, X.numpy())
    np.testing.assert_allclose(found, trained.numpy(), rtol=0, atol=1e-12)
