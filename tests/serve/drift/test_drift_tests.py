"""Drift is said if it is there, and of what; noise, ties and few memes say nothing."""

import numpy as np
import pytest

from serve.drift.drift_tests import MIN_MEMES, compare, holm, sentence
from serve.drift.meme_quantities import CAPTION, DISTANCE, PROBABILITY, QUANTITIES, UNKNOWN


def memes(count, seed=0):
    """Quantities of memes: captions of 0 to 30 tokens, 2 % of them with many unknown tokens."""
    draw = np.random.default_rng(seed)
    unknown = np.where(draw.random(count) < 0.02, 0.5, 0.0)
    columns = draw.beta(1, 2, count), draw.poisson(12, count), unknown, draw.normal(0.4, 0.1, count)
    return np.column_stack(columns).astype(float)


def drifted(batch, held_out=None):
    found = compare(memes(2000) if held_out is None else held_out, batch)
    return {one.quantity: one for one in found if one.drifted}


def test_the_same_distribution_says_nothing():
    reported = [bool(drifted(memes(count, seed))) for count in (60, 400) for seed in range(1, 41)]
    assert sum(reported) <= 0.05 * len(reported)


SHIFTS = {
    PROBABILITY: (
        lambda p: p**0.5,
        "(with the prior train) are higher than those of",
    ),
    CAPTION: (lambda tokens: tokens * 2, "captions are longer than in training: median 24 against"),
    UNKNOWN: (
        lambda share: np.maximum(share, 0.3),
        "have over 10% unknown tokens: 100% against",
    ),
    DISTANCE: (lambda distance: distance + 0.1, "memes are farther from the training memes than"),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_each_shifted_quantity_is_said_alone(name):
    shift, words = SHIFTS[name]
    batch, column = memes(300, 1), QUANTITIES.index(name)
    batch[:, column] = shift(batch[:, column])
    found = drifted(batch)
    assert list(found) == [name]
    said = sentence(found[name], 300)
    assert words in said and said.endswith("p < 0.001, 300 memes)")
    below = np.abs(found[name].batch_above - found[name].held_out_above)
    assert below == pytest.approx(found[name].statistic)


def test_a_batch_nearer_to_the_training_memes_is_no_drift():
    batch = memes(300, 1)
    batch[:, 3] = 0
    assert not drifted(batch)


def test_where_medians_agree_the_sentence_does_not_say_that_they_differ():
    batch = memes(1000, 1)
    batch[:300, 1] += 40
    batch[300:, 1] -= 2
    found = drifted(batch)
    assert "captions are more often long than" in sentence(found[CAPTION], 1000)


def test_large_batches_do_not_cry_wolf_about_small_differences():
    batch = memes(10_000, 1)
    batch[:, 0] += 0.02
    held_out = memes(10_000)
    assert not drifted(batch, held_out)
    assert compare(held_out, batch)[0].p < 1e-3


def test_few_memes_are_not_compared():
    batch = memes(MIN_MEMES, 1) + 5
    assert len(drifted(batch)) == 4
    assert compare(memes(2000), batch[1:]) == []
    assert compare(memes(MIN_MEMES - 1), batch) == []


def test_ties_say_nothing_if_they_are_the_same_and_drift_if_not():
    held_out, batch = np.tile([0.2, 5, 0, 0.3], (500, 1)), np.tile([0.2, 5, 0, 0.3], (80, 1))
    assert not drifted(batch, held_out) and compare(held_out, batch)[0].p == 1
    batch[:, 1] = 6
    assert list(drifted(batch, held_out)) == [CAPTION]


def test_a_run_without_distances_compares_the_others():
    held_out, batch = memes(500), memes(100, 1)
    held_out[:, 3] = batch[:, 3] = np.nan
    assert [one.quantity for one in compare(held_out, batch)] == [PROBABILITY, CAPTION, UNKNOWN]


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.03, 0.001, 0.9, 0.02]), [0.06, 0.004, 0.9, 0.06])
