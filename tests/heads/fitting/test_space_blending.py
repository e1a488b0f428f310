"""A head listens to the kinds of spaces that help it, each calibrated first."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from heads.decision.calibration import Calibration
from heads.evaluation.metrics import loss
from heads.evaluation.out_of_fold import PARTS, mean_logit, to_logit
from heads.fitting.space_blending import apply_blend, fit_blend

COUNT = 2000
PART = np.arange(COUNT) % PARTS
EVERY = np.ones(COUNT, dtype=bool)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def y(rng):
    return rng.integers(0, 2, COUNT)


@pytest.fixture
def says(rng, y):
    """f(strength, factor=1) -> probabilities with noise of their own, `factor` times too sure."""
    return lambda strength, factor=1.0: expit(
        factor * strength * (rng.normal(size=COUNT) + strength * (y - 0.5))
    )


def test_kinds_that_know_different_things_are_all_listened_to(says, y):
    held_out = {"fine-tuned": says(1.5), "pretrained": says(1.5), "lexical": says(1.5)}
    blend = fit_blend(held_out, y, PART, EVERY)
    assert blend.kinds == list(held_out)
    best = max(roc_auc_score(y, one) for one in held_out.values())
    assert roc_auc_score(y, blend.held_out) > best + 0.05


def test_what_several_know_is_said_as_surely_as_it_is_known(says, y):
    # Independent logits add up: their mean is a third of what is known.
    held_out = {"fine-tuned": says(1.5), "pretrained": says(1.5), "lexical": says(1.5)}
    blend = fit_blend(held_out, y, PART, EVERY)
    logits = to_logit(np.stack(list(held_out.values())))
    assert loss(y, blend.held_out) == pytest.approx(loss(y, expit(logits.sum(axis=0))), abs=0.01)
    assert loss(y, mean_logit(list(held_out.values()))) > loss(y, blend.held_out) + 0.05


def test_a_kind_that_is_noise_is_not_listened_to(says, y, rng):
    held_out = {"fine-tuned": says(1.5), "pretrained": rng.random(COUNT), "lexical": says(1.5)}
    assert fit_blend(held_out, y, PART, EVERY).kinds == ["fine-tuned", "lexical"]


def test_a_kind_that_is_too_sure_is_calibrated_before_the_mean_is_taken(says, y):
    held_out = {"fine-tuned": says(1.5, 4.0), "pretrained": says(1.5)}
    blend = fit_blend(held_out, y, PART, EVERY)
    assert blend.kinds == ["fine-tuned", "pretrained"]
    slope = {kind: found.slope for kind, found in blend.calibrations.items()}
    assert slope["pretrained"] / slope["fine-tuned"] == pytest.approx(4, rel=0.2)
    plain = mean_logit(list(held_out.values()))
    assert loss(y, blend.held_out) < loss(y, plain) - 0.03
    assert roc_auc_score(y, blend.held_out) > roc_auc_score(y, plain) + 0.01


def test_what_is_applied_is_what_was_fitted(says, y, rng):
    held_out = {"a": says(1.5, 4.0), "b": says(1.5, 0.5), "c": rng.random(COUNT)}
    blend = fit_blend(held_out, y, PART, EVERY)
    found = apply_blend(blend.kinds, blend.calibrations, held_out)
    assert blend.kinds == ["a", "b"]
    expected = mean_logit([blend.calibrations[kind].apply(held_out[kind]) for kind in ("a", "b")])
    np.testing.assert_array_equal(found, expected)
    # Part by part it differs by what one part in five has to say.
    np.testing.assert_allclose(found, blend.held_out, atol=0.05)


def test_kinds_that_are_not_listened_to_do_not_count():
    calibrations = {"a": Calibration("sigmoid", 2.0, 1.0), "b": Calibration("none")}
    said = {"a": np.array([0.5, expit(1.0)]), "b": np.array([0.9, 0.1])}
    np.testing.assert_allclose(apply_blend(["a"], calibrations, said), expit([1.0, 3.0]))


def test_rows_that_are_not_reported_have_no_say_and_no_value(says, y):
    reported = np.arange(COUNT) < 1500
    held_out = {"a": says(1.5), "b": says(1.5)}
    spoilt = {kind: np.where(reported, one, 1 - y) for kind, one in held_out.items()}
    before, after = (fit_blend(one, y, PART, reported) for one in (held_out, spoilt))
    np.testing.assert_array_equal(np.isnan(after.held_out), ~reported)
    np.testing.assert_array_equal(after.held_out, before.held_out)
    assert after.calibrations == before.calibrations


@pytest.mark.parametrize("number", range(PARTS))
def test_a_part_has_no_say_in_which_kinds_it_is_blended_from(says, y, rng, number):
    own = number == PART
    held_out = {"a": says(1.5), "b": says(1.5)}
    # The third repeats the first less clearly, but for one part, which it knows by heart.
    repeated = to_logit(held_out["a"]) / 2 + rng.normal(size=COUNT)
    held_out["c"] = expit(np.where(own, 6 * (2 * y - 1), repeated))
    blend = fit_blend(held_out, y, PART, EVERY)
    assert "c" in blend.kinds
    del held_out["c"]
    without = fit_blend(held_out, y, PART, EVERY).held_out
    np.testing.assert_array_equal(blend.held_out[own], without[own])
    assert (blend.held_out[~own] != without[~own]).all()
