"""Members that do not help are not kept."""

import numpy as np
import pytest
from scipy.special import expit

import heads.ensemble.ensemble_selection
from heads.ensemble.ensemble_selection import greedy_weights, helping_weights
from heads.evaluation.metrics import loss

COUNT = 2000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def y(rng):
    return rng.integers(0, 2, COUNT)


@pytest.fixture
def says(rng, y):
    """f(strength) -> honest probabilities with noise of their own."""
    return lambda strength: expit(strength * (rng.normal(size=COUNT) + strength * (y - 0.5)))


@pytest.mark.parametrize("select", [greedy_weights, helping_weights])
class TestEither:
    def test_members_that_know_different_things_share_the_weight(self, select, says, y):
        members = np.stack([says(1.5), says(1.5), says(1.5)])
        weights = select(members, y)
        assert weights.sum() == pytest.approx(1) and (weights > 0.2).all()
        assert loss(y, weights @ members) < min(loss(y, one) for one in members)

    def test_noise_gets_nothing(self, select, says, y, rng):
        weights = select(np.stack([rng.random(COUNT), says(2.0)]), y)
        assert weights.tolist() == [0, 1]

    def test_what_a_better_member_knows_already_gets_next_to_nothing(self, select, says, y):
        best = says(2.0)
        weights = select(np.stack([0.5 * best + 0.25, best]), y)
        assert weights.tolist() == [0, 1]

    def test_a_member_alone_has_all_the_weight_even_if_it_is_bad(self, select, y):
        assert select(np.full((1, COUNT), 0.9), y).tolist() == [1]

    def test_the_order_of_members_does_not_matter(self, select, says, y, rng):
        members = np.stack([says(1.0), rng.random(COUNT), says(1.5), says(0.5)])
        weights = select(members, y)
        np.testing.assert_allclose(select(members[::-1], y)[::-1], weights)


def test_greedy_gives_the_better_more(says, y):
    weights = greedy_weights(np.stack([says(0.8), says(1.6)]), y)
    assert weights[1] > 2 * weights[0] > 0


def test_another_draw_never_makes_greedy_worse(says, y, monkeypatch):
    members = np.stack([says(0.5), says(1.5), says(1.2)])
    found = []
    for steps in range(1, 12):
        monkeypatch.setattr(heads.ensemble.ensemble_selection, "STEPS", steps)
        found.append(loss(y, greedy_weights(members, y) @ members))
    assert (np.diff(found) <= 0).all() and found[-1] < found[0]


def test_helping_drops_what_hurts_and_weighs_the_others_alike(says, y, rng):
    sure = np.where(rng.random(COUNT) < 0.5, 0.01, 0.99)
    weights = helping_weights(np.stack([says(1.5), sure, says(1.4)]), y)
    assert weights.tolist() == [0.5, 0, 0.5]
