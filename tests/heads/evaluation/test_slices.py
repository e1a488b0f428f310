"""Slices: metrics by hand, the background of BPSN and BNSP, and the largest gap."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from heads.evaluation.ratio_intervals import ScoredRows
from heads.evaluation.slices import MAX_SLICES, MIN_GROUPS, compare_slices


def scored(count=900, seed=0):
    """Rows of three slices; harmless memes of `c` get too high probabilities."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    names = np.array(["a", "b", "c"], dtype=object)[np.minimum(np.arange(count) % 4, 2)]
    logits = rng.normal(size=count) + 2 * y - 1 + 2 * ((names == "c") & (y == 0))
    return ScoredRows(y, 1 / (1 + np.exp(-logits)), np.arange(count), np.ones(count), 0), names


def values(one):
    return {name: score["value"] for name, score in one.scores.items()}


def test_metrics_are_those_of_scikit_learn():
    rows, names = scored()
    found = compare_slices(rows, names, 0.4)
    assert [one.name for one in found.slices] == ["c", "a", "b"]
    y, p = rows.y == 1, rows.probability
    for one in found.slices:
        inside = names == one.name
        bpsn, bnsp = (inside & ~y) | (~inside & y), (inside & y) | (~inside & ~y)
        assert values(one) == {
            "auroc": pytest.approx(roc_auc_score(y[inside], p[inside])),
            "bpsn": pytest.approx(roc_auc_score(y[bpsn], p[bpsn])),
            "bnsp": pytest.approx(roc_auc_score(y[bnsp], p[bnsp])),
            "fpr": pytest.approx((p[inside & ~y] > 0.4).mean()),
            "fnr": pytest.approx((p[inside & y] <= 0.4).mean()),
        }
        assert (one.rows, one.hateful) == (inside.sum(), y[inside].sum())
        for score in one.scores.values():
            assert score["interval"][0] < score["value"] < score["interval"][1]


def test_bias_against_harmless_memes_of_a_slice_lowers_its_bpsn_and_raises_its_fpr():
    biased, *others = compare_slices(*scored(), 0.5).slices
    for one in others:
        assert values(biased)["bpsn"] < values(one)["bpsn"] - 0.2
        assert values(biased)["fpr"] > values(one)["fpr"] + 0.3


def test_largest_gap_is_named_with_an_interval_of_the_difference():
    gap = compare_slices(*scored(), 0.5).gap
    assert (gap.metric, gap.higher.name) == ("fpr", "c")
    assert gap.difference == values(gap.higher)["fpr"] - values(gap.lower)["fpr"]
    assert 0.2 < gap.interval[0] < gap.difference < gap.interval[1]
    assert gap.sentence().startswith("The largest gap is in the false-positive rate: ")
    assert f" in c, {values(gap.lower)['fpr']:.3f} in {gap.lower.name}, " in gap.sentence()


def test_slices_with_few_groups_of_a_class_are_left_out():
    rows, names = scored()
    few = np.flatnonzero((names == "b") & (rows.y == 1))[: MIN_GROUPS - 1]
    names[(names == "b") & (rows.y == 1) & ~np.isin(np.arange(900), few)] = ""
    found = compare_slices(rows, names, 0.5)
    assert [one.name for one in found.slices] == ["c", "a"] and found.left_out == 1
    # Enough rows, but of few groups.
    group = np.where(names == "a", np.arange(900) % MIN_GROUPS // 2, rows.group)
    found = compare_slices(replace(rows, group=group), names, 0.5)
    assert [one.name for one in found.slices] == ["c"] and found.left_out == 2
    assert found.gap is None


@pytest.mark.filterwarnings("error")
def test_without_a_background_its_metrics_are_undefined():
    rows, names = scored()
    names[:] = "all"
    (one,) = compare_slices(rows, names, 0.5).slices
    assert one.scores["bpsn"] is None and one.scores["bnsp"] is None
    assert one.scores["auroc"] is not None
    assert compare_slices(rows, np.full(900, "", dtype=object), 0.5).slices == []


def test_number_of_slices_is_limited():
    rows, _ = scored(3000)
    names = np.array([f"{n % (MAX_SLICES + 3):02d}" for n in range(3000)], dtype=object)
    found = compare_slices(rows, names, 0.5)
    assert (len(found.slices), found.left_out) == (MAX_SLICES, 3)


def test_near_duplicates_widen_the_intervals():
    rows, names = scored()
    copied = [np.repeat(one, 5) for one in (rows.y, rows.probability, rows.group, rows.weight)]
    once = compare_slices(rows, names, 0.5).slices[0].scores["fpr"]["interval"]
    copies = compare_slices(ScoredRows(*copied, 0), names.repeat(5), 0.5).slices[0]
    assert copies.scores["fpr"]["interval"] == pytest.approx(once)
