"""Combining members, and fitting, selecting and adjusting an ensemble."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

import heads.ensemble.ensemble
from heads.decision.calibration import Calibration
from heads.ensemble.combining import ENSEMBLES, combine
from heads.ensemble.ensemble import MemberPredictions, adjust_probabilities, fit_ensembles
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.out_of_fold import PARTS

PROBABILITY = np.array([[0.1, 0.5, 0.9], [0.3, 0.6, 0.4]])
REFERENCE = np.array([[0.0, 0.2, 0.5, 0.8], [0.5, 0.7, 0.9, 0.1]])
THRESHOLD = np.array([[0.5], [0.35]])
EQUAL = np.array([0.5, 0.5])

COUNT = 1000
PART = np.arange(COUNT) % PARTS


@pytest.mark.parametrize(
    ("kind", "weights", "expected"),
    [
        ("mean", EQUAL, [0.2, 0.55, 0.65]),
        ("mean", [0.75, 0.25], [0.15, 0.525, 0.775]),
        ("greedy", [0.75, 0.25], [0.15, 0.525, 0.775]),
        # Shares of lower values, ties counting half: (1/4, 2.5/4, 4/4) and (1/4, 2/4, 1/4).
        ("rank", EQUAL, [0.25, 0.5625, 0.625]),
        ("rank", [0.75, 0.25], [0.25, 0.59375, 0.8125]),
        # 0.5 does not exceed 0.5.
        ("vote", EQUAL, [0.0, 0.5, 1.0]),
        ("vote", [0.75, 0.25], [0.0, 0.25, 1.0]),
    ],
)
def test_combinations_by_hand(kind, weights, expected):
    found = combine(kind, PROBABILITY, np.array(weights), REFERENCE, THRESHOLD)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("kind", ENSEMBLES)
class TestEveryKind:
    @pytest.fixture
    def members(self):
        rng = np.random.default_rng(0)
        weights = np.array([0.5, 0.3, 0.2])
        return [
            rng.random((3, 50)).round(2),
            weights,
            rng.random((3, 40)).round(2),
            np.ones((3, 1)) / 2,
        ]

    def test_one_score_per_meme(self, kind, members):
        found = combine(kind, *members)
        assert found.shape == (50,)
        assert (found >= 0).all() and (found <= 1).all()
        assert len(np.unique(found)) > 1

    def test_score_does_not_depend_on_the_batch(self, kind, members):
        probability, *others = members
        alone = [combine(kind, probability[:, n : n + 1], *others)[0] for n in range(50)]
        np.testing.assert_allclose(alone, combine(kind, *members), rtol=0, atol=1e-12)

    def test_order_of_members_does_not_matter(self, kind, members):
        reversed_order = combine(kind, *(part[::-1] for part in members))
        np.testing.assert_allclose(reversed_order, combine(kind, *members))

    def test_members_without_weight_are_ignored(self, kind, members):
        expected = combine(kind, *(part[:2] for part in members))
        members[1] = np.array([0.5, 0.3, 0.0])
        # Even if their probabilities are NaN.
        members[0][2] = members[2][2] = np.nan
        np.testing.assert_array_equal(combine(kind, *members), expected)

    def test_certain_members_give_0_and_1(self, kind):
        reference = np.full((2, 4), 0.5)
        ends = np.array([[0.0, 1.0]] * 2)
        assert combine(kind, ends, EQUAL, reference, np.full((2, 1), 0.5)).tolist() == [0, 1]

    def test_each_row_may_have_its_own_threshold(self, kind, members):
        expected = combine(kind, *members)
        members[3] = np.repeat(members[3], 50, axis=1)
        np.testing.assert_array_equal(combine(kind, *members), expected)


def test_rank_does_not_depend_on_the_scale_of_a_member():
    squeezed = combine("rank", PROBABILITY**3 / 5, EQUAL, REFERENCE**3 / 5, THRESHOLD)
    np.testing.assert_allclose(squeezed, combine("rank", PROBABILITY, EQUAL, REFERENCE, THRESHOLD))


# Fitting


@pytest.fixture
def y():
    return np.random.default_rng(0).integers(0, 2, COUNT)


@pytest.fixture
def members(y):
    """Two members with independent errors, one of noise; NaN for a fifth of the held-out rows."""
    rng = np.random.default_rng(1)
    good, other = (expit(1.5 * (rng.normal(size=COUNT) + 1.5 * (y - 0.5))) for _ in range(2))
    final = np.stack([good, other, rng.random(COUNT)])
    held_out = np.where(np.arange(COUNT) < 800, final, np.nan)
    return MemberPredictions(held_out, final, np.full((3, COUNT), 0.5), np.full((3, 1), 0.5))


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_each_kind_drops_noise_and_beats_its_best_member(kind, members, y):
    combined, tried = fit_ensembles([kind], members, y, PART)
    assert [one.kind for one in tried] == [combined.kind] == [kind]
    assert combined.weights[2] < 0.05 and (combined.weights[:2] > 0.3).all()
    assert combined.weights.sum() == pytest.approx(1)
    known = np.arange(COUNT) < 800
    np.testing.assert_array_equal(np.isnan(combined.held_out), ~known)
    best = max(roc_auc_score(y, one) for one in members.final)
    # Votes of two members are coarse.
    margin = -0.05 if kind == "vote" else 0.02
    for probability, rows in ((combined.held_out, known), (combined.final, ~known)):
        assert roc_auc_score(y[rows], probability[rows]) > best + margin


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_probabilities_of_each_kind_are_calibrated(kind, members, y):
    combined, _ = fit_ensembles([kind], members, y, PART)
    for probability in (combined.held_out[:800], combined.final[:800]):
        assert mean_log_loss(y[:800], probability) < 0.6
        assert abs(probability.mean() - y[:800].mean()) < 0.02
        for low, high in ((0, 0.3), (0.7, 1)):
            in_bin = (probability >= low) & (probability < high)
            assert in_bin.sum() > 100
            share = y[:800][in_bin].mean()
            assert share == pytest.approx(probability[in_bin].mean(), abs=0.07)


def test_kind_with_the_lowest_log_loss_is_selected(members, y):
    combined, tried = fit_ensembles(list(ENSEMBLES), members, y, PART)
    found = {one.kind: mean_log_loss(y[:800], one.held_out[:800]) for one in tried}
    assert list(found) == list(ENSEMBLES)
    assert found[combined.kind] == min(found.values()) < found["vote"] - 0.01
    chosen = next(one for one in tried if one.kind == combined.kind)
    np.testing.assert_array_equal(combined.final, chosen.final)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_weights_used_for_a_part_are_selected_without_it(kind, members, y, monkeypatch):
    # Without calibration, which is tested separately.
    monkeypatch.setattr(
        heads.ensemble.ensemble, "calibrate", lambda p, *_: (Calibration("none"), p)
    )
    # The third is a less confident mean of the others, but has the labels of one part.
    in_part = PART == 3
    members.held_out[2] = 0.25 + members.held_out[:2].mean(axis=0) / 2
    members.held_out[2, in_part] = np.where(
        np.isnan(members.held_out[0, in_part]), np.nan, y[in_part]
    )
    combined, _ = fit_ensembles([kind], members, y, PART)
    assert combined.weights[2] > 0.1
    others = np.where(in_part, np.nan, members.held_out)
    expected, _ = fit_ensembles(
        [kind], MemberPredictions(others, *list(vars(members).values())[1:]), y, PART
    )
    assert expected.weights[2] < 0.05
    known = in_part & (np.arange(COUNT) < 800)
    reference = others[:, ~np.isnan(others[0])]
    score = combine(kind, members.held_out, expected.weights, reference, members.row_thresholds)
    np.testing.assert_allclose(combined.held_out[known], score[known])


def test_final_probabilities_are_the_calibrated_combination(members, y):
    combined, _ = fit_ensembles(["rank"], members, y, PART)
    reference = members.held_out[:, :800]
    score = combine("rank", members.final, combined.weights, reference, members.thresholds)
    np.testing.assert_array_equal(combined.final, combined.calibration.apply(score))
    assert combined.calibration != Calibration("none")


def test_prior_replaces_the_offset():
    probability = np.array([0.2, 0.5])
    np.testing.assert_array_equal(adjust_probabilities(probability, 0.0, 0.35, None), probability)
    assert adjust_probabilities(probability, 3.0, 0.5, 0.1) == pytest.approx(
        [0.2 / 0.2 * 0.02 / (0.02 + 0.72), 0.1]
    )
