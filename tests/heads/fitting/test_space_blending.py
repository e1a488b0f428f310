"""Space blending: calibrate the kinds of spaces, and average those that help."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from heads.decision.calibration import Calibration
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.out_of_fold import PARTS, mean_logit, to_logit
from heads.fitting.space_blending import apply_blend, fit_blend

COUNT = 2000
PART = np.arange(COUNT) % PARTS
ALL_ROWS = np.ones(COUNT, dtype=bool)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def y(rng):
    return rng.integers(0, 2, COUNT)


@pytest.fixture
def draw(rng, y):
    """f(strength, factor=1) -> probabilities with independent noise and logits times `factor`."""
    return lambda strength, factor=1.0: expit(
        factor * strength * (rng.normal(size=COUNT) + strength * (y - 0.5))
    )


def test_kinds_with_independent_errors_are_all_used(draw, y):
    held_out = {"fine-tuned": draw(1.5), "pretrained": draw(1.5), "lexical": draw(1.5)}
    blend = fit_blend(held_out, y, PART, ALL_ROWS)
    assert blend.kinds == list(held_out)
    best = max(roc_auc_score(y, one) for one in held_out.values())
    assert roc_auc_score(y, blend.held_out) > best + 0.05


def test_mean_of_independent_kinds_is_as_confident_as_their_sum(draw, y):
    # The optimal logit is the sum of independent logits, three times their mean.
    held_out = {"fine-tuned": draw(1.5), "pretrained": draw(1.5), "lexical": draw(1.5)}
    blend = fit_blend(held_out, y, PART, ALL_ROWS)
    logits = to_logit(np.stack(list(held_out.values())))
    assert mean_log_loss(y, blend.held_out) == pytest.approx(
        mean_log_loss(y, expit(logits.sum(axis=0))), abs=0.01
    )
    assert (
        mean_log_loss(y, mean_logit(list(held_out.values())))
        > mean_log_loss(y, blend.held_out) + 0.05
    )


def test_kind_that_is_noise_is_not_used(draw, y, rng):
    held_out = {"fine-tuned": draw(1.5), "pretrained": rng.random(COUNT), "lexical": draw(1.5)}
    assert fit_blend(held_out, y, PART, ALL_ROWS).kinds == ["fine-tuned", "lexical"]


def test_overconfident_kind_is_calibrated_before_averaging(draw, y):
    held_out = {"fine-tuned": draw(1.5, 4.0), "pretrained": draw(1.5)}
    blend = fit_blend(held_out, y, PART, ALL_ROWS)
    assert blend.kinds == ["fine-tuned", "pretrained"]
    slope = {kind: found.slope for kind, found in blend.calibrations.items()}
    assert slope["pretrained"] / slope["fine-tuned"] == pytest.approx(4, rel=0.2)
    plain = mean_logit(list(held_out.values()))
    assert mean_log_loss(y, blend.held_out) < mean_log_loss(y, plain) - 0.03
    assert roc_auc_score(y, blend.held_out) > roc_auc_score(y, plain) + 0.01


def test_apply_blend_equals_the_fitted_blend(draw, y, rng):
    held_out = {"a": draw(1.5, 4.0), "b": draw(1.5, 0.5), "c": rng.random(COUNT)}
    blend = fit_blend(held_out, y, PART, ALL_ROWS)
    found = apply_blend(blend.kinds, blend.calibrations, held_out)
    assert blend.kinds == ["a", "b"]
    expected = mean_logit([blend.calibrations[kind].apply(held_out[kind]) for kind in ("a", "b")])
    np.testing.assert_array_equal(found, expected)
    # Out-of-fold probabilities differ slightly, as they are fitted on four of five parts.
    np.testing.assert_allclose(found, blend.held_out, atol=0.05)


def test_kinds_that_are_not_used_are_ignored():
    calibrations = {"a": Calibration("sigmoid", 2.0, 1.0), "b": Calibration("none")}
    probability = {"a": np.array([0.5, expit(1.0)]), "b": np.array([0.9, 0.1])}
    np.testing.assert_allclose(apply_blend(["a"], calibrations, probability), expit([1.0, 3.0]))


def test_rows_that_are_not_reported_are_ignored_and_nan(draw, y):
    reported = np.arange(COUNT) < 1500
    held_out = {"a": draw(1.5), "b": draw(1.5)}
    spoilt = {kind: np.where(reported, one, 1 - y) for kind, one in held_out.items()}
    before, after = (fit_blend(one, y, PART, reported) for one in (held_out, spoilt))
    np.testing.assert_array_equal(np.isnan(after.held_out), ~reported)
    np.testing.assert_array_equal(after.held_out, before.held_out)
    assert after.calibrations == before.calibrations


@pytest.mark.parametrize("number", range(PARTS))
def test_kinds_blended_for_a_part_are_selected_without_it(draw, y, rng, number):
    in_part = number == PART
    held_out = {"a": draw(1.5), "b": draw(1.5)}
    # The third is a noisy copy of the first, except in one part, where it has the labels.
    repeated = to_logit(held_out["a"]) / 2 + rng.normal(size=COUNT)
    held_out["c"] = expit(np.where(in_part, 6 * (2 * y - 1), repeated))
    blend = fit_blend(held_out, y, PART, ALL_ROWS)
    assert "c" in blend.kinds
    del held_out["c"]
    without = fit_blend(held_out, y, PART, ALL_ROWS).held_out
    np.testing.assert_array_equal(blend.held_out[in_part], without[in_part])
    assert (blend.held_out[~in_part] != without[~in_part]).all()
