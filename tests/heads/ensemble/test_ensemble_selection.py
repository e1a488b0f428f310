"""Ensemble selection: members that do not help get no weight."""

import numpy as np
import pytest
from scipy.special import expit

import heads.ensemble.ensemble_selection
from heads.ensemble.ensemble_selection import elimination_weights, greedy_weights
from heads.evaluation.metrics import mean_log_loss

COUNT = 2000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def y(rng):
    return rng.integers(0, 2, COUNT)


@pytest.fixture
def draw(rng, y):
    """f(strength) -> calibrated probabilities with independent noise."""
    return lambda strength: expit(strength * (rng.normal(size=COUNT) + strength * (y - 0.5)))


@pytest.mark.parametrize("select", [greedy_weights, elimination_weights])
class TestBothMethods:
    def test_members_with_independent_errors_share_the_weight(self, select, draw, y):
        members = np.stack([draw(1.5), draw(1.5), draw(1.5)])
        weights = select(members, y)
        assert weights.sum() == pytest.approx(1) and (weights > 0.2).all()
        assert mean_log_loss(y, weights @ members) < min(mean_log_loss(y, one) for one in members)

    def test_noise_gets_no_weight(self, select, draw, y, rng):
        weights = select(np.stack([rng.random(COUNT), draw(2.0)]), y)
        assert weights.tolist() == [0, 1]

    def test_redundant_member_gets_no_weight(self, select, draw, y):
        best = draw(2.0)
        weights = select(np.stack([0.5 * best + 0.25, best]), y)
        assert weights.tolist() == [0, 1]

    def test_single_member_has_all_the_weight(self, select, y):
        assert select(np.full((1, COUNT), 0.9), y).tolist() == [1]

    def test_order_of_members_does_not_matter(self, select, draw, y, rng):
        members = np.stack([draw(1.0), rng.random(COUNT), draw(1.5), draw(0.5)])
        weights = select(members, y)
        np.testing.assert_allclose(select(members[::-1], y)[::-1], weights)


def test_greedy_gives_better_members_more_weight(draw, y):
    weights = greedy_weights(np.stack([draw(0.8), draw(1.6)]), y)
    assert weights[1] > 2 * weights[0] > 0


def test_more_rounds_never_increase_the_loss_of_greedy(draw, y, monkeypatch):
    members = np.stack([draw(0.5), draw(1.5), draw(1.2)])
    found = []
    for rounds in range(1, 12):
        monkeypatch.setattr(heads.ensemble.ensemble_selection, "SELECTION_ROUNDS", rounds)
        found.append(mean_log_loss(y, greedy_weights(members, y) @ members))
    assert (np.diff(found) <= 0).all() and found[-1] < found[0]


def test_elimination_removes_harmful_members_and_weights_the_others_equally(draw, y, rng):
    overconfident = np.where(rng.random(COUNT) < 0.5, 0.01, 0.99)
    weights = elimination_weights(np.stack([draw(1.5), overconfident, draw(1.4)]), y)
    assert weights.tolist() == [0.5, 0, 0.5]
