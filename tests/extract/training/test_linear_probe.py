"""The linear probe that a training starts from."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from extract.towers.fusion import FUSIONS
from extract.training import linear_probe
from extract.training.linear_probe import ProbeEmbeddings, embed_for_probe, start_from_probe


@pytest.fixture
def problem():
    """Embeddings of every second of 200 rows, whose third image column says the label."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    rows = np.arange(0, 200, 2)
    image = rng.normal(3, 2, (100, 5)).astype(np.float32)
    image[:, 2] += 4 * label[rows]
    text = rng.normal(-1, 5, (100, 3)).astype(np.float32)
    return ProbeEmbeddings(rows, image, text), label


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_starts_as_the_probe(name, problem):
    embeddings, label = problem
    fitted = np.arange(200) < 120
    fusion = FUSIONS[name](5, 3).eval()
    start_from_probe(fusion, embeddings, label, fitted)
    chosen = fitted[embeddings.rows]
    columns = []
    for values, norm in ((embeddings.image, 0.5), (embeddings.text, 1.0)):
        centred = values - values[chosen].mean(axis=0)
        columns.append(centred * norm / np.sqrt((centred[chosen] ** 2).sum(axis=1).mean()))
    X = np.concatenate(columns, axis=1)
    probe = LogisticRegression(C=0.3, max_iter=1000).fit(X[chosen], label[embeddings.rows][chosen])
    with torch.no_grad():
        logit = fusion(torch.from_numpy(embeddings.image), torch.from_numpy(embeddings.text))
    np.testing.assert_allclose(logit, probe.decision_function(X), atol=1e-3)


def test_rows_that_are_not_fitted_change_nothing(problem):
    embeddings, label = problem
    fitted = np.arange(200) < 120
    weights = []
    for turned in (label, np.where(fitted, label, 1 - label)):
        fusion = FUSIONS["interaction"](5, 3)
        start_from_probe(fusion, embeddings, turned, fitted)
        weights.append(fusion.linear.weight.detach().clone())
    assert torch.equal(*weights)


def test_only_usable_rows_are_embedded_and_not_too_many(toy_model, make_inputs, monkeypatch):
    monkeypatch.setattr(linear_probe, "MAX_ROWS", 7)
    inputs = make_inputs(np.zeros(60, dtype=int))
    usable = np.arange(60) % 3 == 0
    toy_model.fusion = None
    embeddings = embed_for_probe(toy_model, inputs, usable)
    assert len(embeddings.rows) == 7 and usable[embeddings.rows].all()
    assert embeddings.rows[[0, -1]].tolist() == [0, 57]
    with torch.inference_mode():
        expected = toy_model.embed_text(*inputs.tokens(embeddings.rows[-1:]))
    np.testing.assert_allclose(embeddings.text[-1:], expected, atol=1e-6)
