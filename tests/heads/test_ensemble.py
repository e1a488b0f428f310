"""Members become one probability; a meme's own does not depend on which others are scored."""

import numpy as np
import pytest

from heads.ensemble import ENSEMBLES, combine, neutral_threshold

PROBABILITY = np.array([[0.1, 0.5, 0.9], [0.3, 0.6, 0.4]])
REFERENCE = np.array([[0.0, 0.2, 0.5, 0.8], [0.5, 0.7, 0.9, 0.1]])
THRESHOLD = np.array([[0.5], [0.35]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mean", [0.2, 0.55, 0.65]),
        # Shares below, a tie as half: (1/4, 2.5/4, 4/4) and (1/4, 2/4, 1/4).
        ("rank", [0.25, 0.5625, 0.625]),
        # 0.5 does not exceed 0.5.
        ("vote", [0.0, 0.5, 1.0]),
    ],
)
def test_by_hand(kind, expected):
    np.testing.assert_allclose(combine(kind, PROBABILITY, REFERENCE, THRESHOLD), expected)


@pytest.mark.parametrize("kind", ENSEMBLES)
class TestEvery:
    @pytest.fixture
    def members(self):
        rng = np.random.default_rng(0)
        return rng.random((3, 50)).round(2), rng.random((3, 40)).round(2), rng.random((3, 1))

    def test_gives_one_probability_a_meme(self, kind, members):
        found = combine(kind, *members)
        assert found.shape == (50,)
        assert (found >= 0).all() and (found <= 1).all()
        assert len(np.unique(found)) > 1

    def test_a_single_meme_gets_what_it_gets_in_a_batch(self, kind, members):
        probability, *others = members
        alone = [combine(kind, probability[:, n : n + 1], *others)[0] for n in range(50)]
        np.testing.assert_array_equal(alone, combine(kind, *members))

    def test_the_order_of_members_does_not_matter(self, kind, members):
        turned = combine(kind, *(part[::-1] for part in members))
        np.testing.assert_allclose(turned, combine(kind, *members))

    def test_certain_members_agree_on_certainty(self, kind):
        reference = np.full((2, 4), 0.5)
        ends = np.array([[0.0, 1.0]] * 2)
        assert combine(kind, ends, reference, np.full((2, 1), 0.5)).tolist() == [0, 1]

    def test_each_row_may_have_its_own_threshold(self, kind, members):
        probability, reference, threshold = members
        spread = np.repeat(threshold, 50, axis=1)
        expected = combine(kind, *members)
        np.testing.assert_array_equal(combine(kind, probability, reference, spread), expected)


def test_rank_does_not_care_for_a_members_scale():
    squeezed = combine("rank", PROBABILITY**3 / 5, REFERENCE**3 / 5, THRESHOLD)
    np.testing.assert_allclose(squeezed, combine("rank", PROBABILITY, REFERENCE, THRESHOLD))


def test_a_rank_is_undecided_at_the_share_of_negatives_not_at_half():
    assert neutral_threshold("rank", 0.35) == pytest.approx(0.65)
    assert neutral_threshold("mean", 0.35) == neutral_threshold("vote", 0.35) == 0.5
