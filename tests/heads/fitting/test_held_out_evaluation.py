"""Every figure and every threshold comes from rows that had no part in making it."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

import heads.fitting.held_out_evaluation
from heads.decision.prior_shift import class_weights
from heads.decision.threshold import Threshold
from heads.evaluation.out_of_fold import cut_parts
from heads.fitting.held_out_evaluation import Protocol, evaluate

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def rows():
    return planted.table().rows


@pytest.fixture
def held_out(rows):
    """Shifted, so that thresholds other than 0.5 are chosen."""
    rng = np.random.default_rng(0)
    said = np.clip(0.7 + 0.2 * (rows.label - 0.5) + 0.05 * rng.normal(size=len(rows)), 0, 1)
    return np.where(rows.labelled & (rows.group % 4 > 0), said, np.nan)


def verdict_on(rows, held_out, final=None, weight=None, part=None):
    part = cut_parts(rows, 0) if part is None else part
    final = np.full(len(rows), 0.6) if final is None else final
    return evaluate(Protocol(rows, part, "accuracy", 0), held_out, final, weight)


def test_a_rows_threshold_is_tuned_without_its_group(rows, held_out, monkeypatch):
    tuned_on = []

    def spy(y, probability, group, metric, seed, weight):
        assert not np.isnan(probability).any()
        tuned_on.append(set(group))
        return Threshold(len(tuned_on) - 1, 0, 0, [])

    monkeypatch.setattr(heads.fitting.held_out_evaluation, "tune_threshold", spy)
    evaluation = verdict_on(rows, held_out)
    known = ~np.isnan(held_out)
    np.testing.assert_array_equal(np.isnan(evaluation.row_threshold), ~known)
    for place in np.flatnonzero(known):
        assert rows.group[place] not in tuned_on[int(evaluation.row_threshold[place])]
    # Each of the other rows has its say, and the one for new memes is tuned on them all.
    everyone = set(rows.group[known])
    assert set.union(*tuned_on[:-1]) == everyone
    assert tuned_on[int(evaluation.threshold.value)] == everyone


def test_flipping_a_parts_labels_leaves_its_own_threshold_alone(rows, held_out):
    part = cut_parts(rows, 0)
    before = verdict_on(rows, held_out, part=part)
    changed = 0
    for number in range(5):
        own = part == number
        label = np.where(own, 1 - rows.label, rows.label).astype(np.int8)
        after = verdict_on(replace(rows, label=label), held_out, part=part)
        np.testing.assert_array_equal(after.row_threshold[own], before.row_threshold[own])
        changed += (after.row_threshold != before.row_threshold)[~np.isnan(held_out)].any()
    assert changed, "or else labels do not matter at all"


def test_decisions_on_held_out_rows_use_their_own_thresholds(rows, held_out):
    evaluation = verdict_on(rows, held_out)
    known = ~np.isnan(held_out)
    right = (held_out > evaluation.row_threshold)[known] == rows.label[known]
    assert evaluation.scores["held_out"]["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert right.mean() > evaluation.scores["held_out"]["accuracy_default"]["value"] + 0.1


def test_held_out_figures_come_from_the_rows_with_a_held_out_probability(rows, held_out):
    known = ~np.isnan(held_out)
    scores = verdict_on(rows, held_out).scores["held_out"]
    assert scores["rows"] == known.sum() < rows.labelled.sum()
    assert scores["positives"] == rows.label[known].sum()
    assert scores["auroc"]["value"] == roc_auc_score(rows.label[known], held_out[known])


def test_test_rows_are_scored_with_the_final_probability_and_the_common_threshold(rows, held_out):
    test = rows.split == "test"
    final = np.where(test, 0.62 + 0.1 * rows.label, 0.0)
    evaluation = verdict_on(rows, held_out, final)
    scores = evaluation.scores["test"]
    assert (scores["rows"], scores["auroc"]["value"]) == (test.sum(), 1.0)
    right = (final > evaluation.threshold.value)[test] == rows.label[test]
    assert scores["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert evaluation.threshold.value != 0.5


def test_test_labels_move_nothing_but_the_figures_of_test_rows(rows, held_out):
    flipped = np.where(rows.split == "test", 1 - rows.label, rows.label).astype(np.int8)
    before, after = (verdict_on(one, held_out) for one in (rows, replace(rows, label=flipped)))
    assert before.threshold == after.threshold
    assert before.scores["held_out"] == after.scores["held_out"]
    assert before.scores["fold_auroc"] == after.scores["fold_auroc"]
    np.testing.assert_array_equal(before.row_threshold, after.row_threshold)


def test_unknown_test_labels_give_no_test_figures(rows, held_out):
    label = np.where(rows.split == "test", -1, rows.label).astype(np.int8)
    assert verdict_on(replace(rows, label=label), held_out).scores["test"] is None


def test_each_folds_auroc_is_of_its_own_held_out_rows(rows, held_out):
    fold = np.where(rows.labelled, rows.group % 7, -1).astype(np.int16)
    # A fold of one class has none, and so has one of which nothing is held out.
    label = np.where(fold == 2, 1, rows.label).astype(np.int8)
    held_out = np.where(fold == 5, np.nan, held_out)
    found = verdict_on(replace(rows, fold=fold, label=label), held_out).scores["fold_auroc"]
    expected = []
    for number in (0, 1, 3, 4, 6):
        own = (fold == number) & ~np.isnan(held_out)
        expected.append(roc_auc_score(label[own], held_out[own]))
    assert found == expected and len(set(expected)) > 1


def test_weights_count_on_held_out_rows_and_not_on_test_rows(rows, held_out):
    known = ~np.isnan(held_out)
    # Less sure, so that there is something to weigh.
    held_out = held_out + np.random.default_rng(1).uniform(-0.15, 0.15, len(rows))
    weight = class_weights(rows.label, rows.label[known].mean(), 0.9)
    final = np.where(rows.label == 1, 0.4, 0.6)
    plain, weighted = (verdict_on(rows, held_out, final, one) for one in (None, weight))
    # Most are taken for positive at 0.5, and so most of nine in ten are right.
    found = weighted.scores["held_out"]["accuracy_default"]
    right = (held_out > 0.5) == rows.label
    expected = np.average(right[known], weights=weight[known])
    assert found["value"] == pytest.approx(expected) and expected > 0.8
    assert found["interval"][0] > plain.scores["held_out"]["accuracy_default"]["value"]
    # Missing positives costs more now.
    assert weighted.threshold.best < plain.threshold.best
    for name in ("auroc", "accuracy_default", "brier"):
        assert weighted.scores["test"][name] == plain.scores["test"][name]
