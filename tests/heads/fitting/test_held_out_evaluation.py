"""Evaluation: thresholds and scores of a row are computed without its part."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

import heads.fitting.held_out_evaluation
from heads.decision.prior_shift import class_weights
from heads.decision.threshold import Threshold
from heads.evaluation.out_of_fold import assign_parts
from heads.fitting.held_out_evaluation import Protocol, evaluate

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def rows():
    return planted.table().rows


@pytest.fixture
def held_out(rows):
    """Shifted probabilities, so that thresholds other than 0.5 are selected."""
    rng = np.random.default_rng(0)
    probability = np.clip(0.7 + 0.2 * (rows.label - 0.5) + 0.05 * rng.normal(size=len(rows)), 0, 1)
    return np.where(rows.labelled & (rows.group % 4 > 0), probability, np.nan)


def evaluate_rows(rows, held_out, final=None, weight=None, part=None):
    part = assign_parts(rows, 0) if part is None else part
    final = np.full(len(rows), 0.6) if final is None else final
    return evaluate(Protocol(rows, part, "accuracy", 0), held_out, final, weight)


def test_threshold_of_a_row_is_tuned_without_its_group(rows, held_out, monkeypatch):
    tuned_on = []

    def spy(y, probability, group, metric, seed, weight):
        assert not np.isnan(probability).any()
        tuned_on.append(set(group))
        return Threshold(len(tuned_on) - 1, 0, 0, [])

    monkeypatch.setattr(heads.fitting.held_out_evaluation, "tune_threshold", spy)
    evaluation = evaluate_rows(rows, held_out)
    known = ~np.isnan(held_out)
    np.testing.assert_array_equal(np.isnan(evaluation.row_threshold), ~known)
    for index in np.flatnonzero(known):
        assert rows.group[index] not in tuned_on[int(evaluation.row_threshold[index])]
    # All rows are used by some part's threshold, and by the threshold for new memes.
    all_groups = set(rows.group[known])
    assert set.union(*tuned_on[:-1]) == all_groups
    assert tuned_on[int(evaluation.threshold.value)] == all_groups


def test_threshold_of_a_part_does_not_depend_on_its_labels(rows, held_out):
    part = assign_parts(rows, 0)
    before = evaluate_rows(rows, held_out, part=part)
    changed = 0
    for number in range(5):
        in_part = part == number
        label = np.where(in_part, 1 - rows.label, rows.label).astype(np.int8)
        after = evaluate_rows(replace(rows, label=label), held_out, part=part)
        np.testing.assert_array_equal(after.row_threshold[in_part], before.row_threshold[in_part])
        changed += (after.row_threshold != before.row_threshold)[~np.isnan(held_out)].any()
    assert changed, "otherwise labels do not matter at all"


def test_held_out_rows_are_scored_with_their_row_thresholds(rows, held_out):
    evaluation = evaluate_rows(rows, held_out)
    known = ~np.isnan(held_out)
    right = (held_out > evaluation.row_threshold)[known] == rows.label[known]
    assert evaluation.scores["held_out"]["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert right.mean() > evaluation.scores["held_out"]["accuracy_default"]["value"] + 0.1


def test_held_out_scores_use_the_rows_with_a_held_out_probability(rows, held_out):
    known = ~np.isnan(held_out)
    scores = evaluate_rows(rows, held_out).scores["held_out"]
    assert scores["rows"] == known.sum() < rows.labelled.sum()
    assert scores["positives"] == rows.label[known].sum()
    assert scores["auroc"]["value"] == roc_auc_score(rows.label[known], held_out[known])


def test_test_rows_are_scored_with_final_probabilities_and_one_threshold(rows, held_out):
    test = rows.split == "test"
    final = np.where(test, 0.62 + 0.1 * rows.label, 0.0)
    evaluation = evaluate_rows(rows, held_out, final)
    scores = evaluation.scores["test"]
    assert (scores["rows"], scores["auroc"]["value"]) == (test.sum(), 1.0)
    right = (final > evaluation.threshold.value)[test] == rows.label[test]
    assert scores["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert evaluation.threshold.value != 0.5


def test_test_labels_affect_only_the_scores_of_test_rows(rows, held_out):
    flipped = np.where(rows.split == "test", 1 - rows.label, rows.label).astype(np.int8)
    before, after = (evaluate_rows(one, held_out) for one in (rows, replace(rows, label=flipped)))
    assert before.threshold == after.threshold
    assert before.scores["held_out"] == after.scores["held_out"]
    assert before.scores["fold_auroc"] == after.scores["fold_auroc"]
    np.testing.assert_array_equal(before.row_threshold, after.row_threshold)


def test_unknown_test_labels_give_no_test_scores(rows, held_out):
    label = np.where(rows.split == "test", -1, rows.label).astype(np.int8)
    assert evaluate_rows(replace(rows, label=label), held_out).scores["test"] is None


def test_fold_auroc_uses_the_held_out_rows_of_each_fold(rows, held_out):
    fold = np.where(rows.labelled, rows.group % 7, -1).astype(np.int16)
    # A fold of one class, and a fold without held-out rows, have no AUROC.
    label = np.where(fold == 2, 1, rows.label).astype(np.int8)
    held_out = np.where(fold == 5, np.nan, held_out)
    found = evaluate_rows(replace(rows, fold=fold, label=label), held_out).scores["fold_auroc"]
    expected = []
    for number in (0, 1, 3, 4, 6):
        in_part = (fold == number) & ~np.isnan(held_out)
        expected.append(roc_auc_score(label[in_part], held_out[in_part]))
    assert found == expected and len(set(expected)) > 1


def test_weights_apply_to_held_out_rows_but_not_to_test_rows(rows, held_out):
    known = ~np.isnan(held_out)
    # Noisier, so that weights make a difference.
    held_out = held_out + np.random.default_rng(1).uniform(-0.15, 0.15, len(rows))
    weight = class_weights(rows.label, rows.label[known].mean(), 0.9)
    final = np.where(rows.label == 1, 0.4, 0.6)
    plain, weighted = (evaluate_rows(rows, held_out, final, one) for one in (None, weight))
    # At 0.5, most rows are predicted positive, which is right for most of nine in ten.
    found = weighted.scores["held_out"]["accuracy_default"]
    right = (held_out > 0.5) == rows.label
    expected = np.average(right[known], weights=weight[known])
    assert found["value"] == pytest.approx(expected) and expected > 0.8
    assert found["interval"][0] > plain.scores["held_out"]["accuracy_default"]["value"]
    # Missed positives now cost more.
    assert weighted.threshold.best < plain.threshold.best
    for name in ("auroc", "accuracy_default", "brier"):
        assert weighted.scores["test"][name] == plain.scores["test"][name]
