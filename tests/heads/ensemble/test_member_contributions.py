"""A member's contribution is the difference between the ensemble with and without it."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from heads.decision.calibration import Calibration
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.ensemble import FittedEnsemble, MemberPredictions
from heads.ensemble.member_contributions import correlation, member_contributions
from heads.evaluation.metrics import mean_log_loss

COUNT = 1000
NAMES = ["good", "other", "noise"]


@pytest.fixture
def y():
    return np.random.default_rng(0).integers(0, 2, COUNT)


@pytest.fixture
def members(y):
    """Two members with independent errors, and one of overconfident noise."""
    rng = np.random.default_rng(1)
    good, other = (expit(1.5 * (rng.normal(size=COUNT) + 1.5 * (y - 0.5))) for _ in range(2))
    held_out = np.stack([good, other, np.where(rng.random(COUNT) < 0.5, 0.05, 0.95)])
    # Half of the rows are not reported on.
    held_out[:, ::2] = np.nan
    half = np.full((3, COUNT), 0.5)
    return MemberPredictions(held_out, half, half, half[:, :1])


def ensemble(kind, weights):
    unused = np.zeros(COUNT)
    return FittedEnsemble(kind, np.array(weights), Calibration("none"), unused, unused)


def contributions(members, y, kind="mean", weights=(0.5, 0.5, 0.0)):
    found = member_contributions(NAMES, members, ensemble(kind, weights), y)
    assert [one["name"] for one in found] == NAMES
    return {one.pop("name"): one for one in found}


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_helpful_members_have_positive_gains_and_harmful_ones_negative(members, y, kind):
    found = contributions(members, y, kind)
    for name in ("good", "other"):
        assert found[name]["auroc_gain"] > 0.02
    assert found["noise"]["auroc_gain"] < -0.02
    if kind in ("greedy", "mean"):
        assert found["good"]["log_loss_gain"] > 0.02 > -0.02 > found["noise"]["log_loss_gain"]
    assert [one["weight"] for one in found.values()] == [0.5, 0.5, 0]


def test_gains_by_hand(members, y):
    found = contributions(members, y, weights=(0.75, 0.25, 0.0))
    known = np.arange(COUNT) % 2 == 1
    good, other, noise = members.held_out[:, known]
    y = y[known]
    area = roc_auc_score(y, 0.75 * good + 0.25 * other)
    assert found["good"]["auroc_gain"] == pytest.approx(area - roc_auc_score(y, other))
    gain = mean_log_loss(y, other) - mean_log_loss(y, 0.75 * good + 0.25 * other)
    assert found["good"]["log_loss_gain"] == pytest.approx(gain)
    # A head without weight is added with the others' mean weight.
    with_noise = (0.75 * good + 0.25 * other + 0.5 * noise) / 1.5
    assert found["noise"]["auroc_gain"] == pytest.approx(roc_auc_score(y, with_noise) - area)


def test_gains_of_the_only_member_are_none(members, y):
    found = contributions(members, y, weights=(1.0, 0.0, 0.0))
    assert (found["good"]["auroc_gain"], found["good"]["log_loss_gain"]) == (None, None)
    assert found["other"]["auroc_gain"] > 0


def test_correlation_uses_the_logits_of_reported_rows(members):
    found = np.array(correlation(members))
    logits = np.log(members.held_out / (1 - members.held_out))[:, 1::2]
    np.testing.assert_allclose(found, np.corrcoef(logits), atol=1e-4)
    assert found[0, 1] > 0.2 > abs(found[0, 2])


def test_correlation_of_a_single_member(members):
    one = MemberPredictions(*(part[:1] for part in vars(members).values()))
    assert correlation(one) == [[1.0]]


@pytest.mark.filterwarnings("error")
def test_correlation_with_a_constant_member_is_zero(members):
    held_out = members.held_out.copy()
    held_out[2, 1::2] = 0.5
    found = np.array(correlation(MemberPredictions(held_out, *list(vars(members).values())[1:])))
    # Not NaN, which is not valid JSON.
    assert found[2].tolist() == [0, 0, 1] and found[0, 1] > 0.2
