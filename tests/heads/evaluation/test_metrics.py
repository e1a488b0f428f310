"""AUROC and average precision with many row weights at once equal scikit-learn's with each."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from heads.evaluation.metrics import auroc, average_precision


@pytest.fixture(params=["ties", "distinct", "constant"])
def rows(request):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    score = {"ties": rng.integers(0, 9, 200) / 9, "distinct": rng.random(200)}.get(request.param)
    return y, np.full(200, 0.3) if score is None else score, rng.integers(0, 4, (20, 200)) * 0.5


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(auroc, roc_auc_score), (average_precision, average_precision_score)],
)
def test_each_weighting_equals_scikit_learns(rows, ours, reference):
    y, score, weights = rows
    expected = [reference(y, score, sample_weight=weight) for weight in weights]
    np.testing.assert_allclose(ours(y, score)(weights), expected, atol=1e-12)


def test_weighting_of_a_single_class_gives_nan():
    y, score = np.array([0, 1, 1]), np.array([0.1, 0.9, 0.5])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    assert np.isnan(auroc(y, score)(weights)).tolist() == [False, True]
    assert np.isnan(average_precision(y, score)(weights)).tolist() == [False, True]


def test_highest_score_with_weight_0_is_ignored():
    y, score = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])
    found = average_precision(y, score)(np.array([[0.0, 1.0, 1.0]]))
    assert found == pytest.approx([0.5])
