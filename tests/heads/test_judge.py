"""Every figure and every threshold comes from rows that had no part in making it."""

from dataclasses import replace

import numpy as np
import planted
import pytest

import heads.judge
from heads.judge import judge, reported_rows
from heads.threshold import Threshold

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def features():
    return planted.table(widths=((12, 8), (6, 5)))


@pytest.fixture
def rows(features):
    return features.rows


@pytest.fixture
def held_out(rows):
    """Shifted, so that thresholds other than 0.5 are chosen."""
    rng = np.random.default_rng(0)
    said = np.clip(0.7 + 0.2 * (rows.label - 0.5) + 0.05 * rng.normal(size=len(rows)), 0, 1)
    return np.where(rows.labelled & (rows.group % 4 > 0), said, np.nan)


def verdict_on(rows, held_out, reported=None, final=None, seed=0):
    reported = ~np.isnan(held_out) if reported is None else reported
    final = np.full(len(rows), 0.6) if final is None else final
    return judge(rows, reported, held_out, final, "accuracy", seed)


def test_reported_rows_were_neither_seen_nor_monitored_in_any_space(features, rows):
    reported = reported_rows(features)
    assert reported.any()
    assert set(rows.split[reported]) == {"train", "val"}
    for space in features.spaces:
        assert (space.seen & rows.labelled).any() and (space.monitored & rows.labelled).any()
        assert not (reported & (space.seen | space.monitored)).any()
    untouched = np.all([~space.seen & ~space.monitored for space in features.spaces], axis=0)
    assert reported.sum() == (untouched & rows.labelled).sum()


def test_a_rows_threshold_is_tuned_without_its_group(rows, held_out, monkeypatch):
    tuned_on = []

    def spy(y, probability, group, metric, seed, default):
        np.testing.assert_array_equal(np.isnan(probability), False)
        tuned_on.append(set(group))
        return Threshold(len(tuned_on) - 1, 0, 0, [])

    monkeypatch.setattr(heads.judge, "tune_threshold", spy)
    verdict = verdict_on(rows, held_out)
    known = ~np.isnan(held_out)
    np.testing.assert_array_equal(np.isnan(verdict.row_threshold), ~known)
    for place in np.flatnonzero(known):
        assert rows.group[place] not in tuned_on[int(verdict.row_threshold[place])]
    # Each of the other rows has its say, and the one for new memes is tuned on them all.
    everyone = set(rows.group[known])
    assert set.union(*tuned_on[:-1]) == everyone
    assert tuned_on[int(verdict.threshold.value)] == everyone


def test_flipping_a_folds_labels_leaves_its_own_threshold_alone(rows, held_out, monkeypatch):
    # The cut itself is stratified by labels: keep it. Figures are not needed.
    parts = heads.judge.grouped_folds(rows, np.flatnonzero(~np.isnan(held_out)), 0)
    monkeypatch.setattr(heads.judge, "grouped_folds", lambda *_: parts)
    monkeypatch.setattr(heads.judge, "score", lambda *_: None)
    before = verdict_on(rows, held_out)
    changed = 0
    for _, own in parts:
        label = rows.label.copy()
        label[own] = 1 - label[own]
        after = verdict_on(replace(rows, label=label), held_out)
        np.testing.assert_array_equal(after.row_threshold[own], before.row_threshold[own])
        changed += (after.row_threshold != before.row_threshold).any()
    assert changed, "or else labels do not matter at all"


def test_decisions_on_held_out_rows_use_their_own_thresholds(rows, held_out):
    verdict = verdict_on(rows, held_out)
    known = ~np.isnan(held_out)
    right = (held_out > verdict.row_threshold)[known] == rows.label[known]
    assert verdict.scores["held_out"]["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert right.mean() > verdict.scores["held_out"]["accuracy_default"]["value"] + 0.1


def test_held_out_figures_come_from_the_reported_rows_alone(rows, held_out):
    reported = ~np.isnan(held_out) & (rows.group % 2 == 0)
    spoilt = np.where(reported | np.isnan(held_out), held_out, 1 - rows.label)
    verdict = verdict_on(rows, spoilt, reported)
    assert verdict.scores["held_out"]["rows"] == reported.sum()
    assert verdict.scores["held_out"]["positives"] == rows.label[reported].sum()
    assert verdict.scores["held_out"]["auroc"]["value"] > 0.9


def test_test_rows_are_scored_with_the_final_probability_and_the_common_threshold(rows, held_out):
    test = rows.split == "test"
    final = np.where(test, 0.62 + 0.1 * rows.label, 0.0)
    verdict = verdict_on(rows, held_out, final=final)
    scores = verdict.scores["test"]
    assert (scores["rows"], scores["auroc"]["value"]) == (test.sum(), 1.0)
    right = (final > verdict.threshold.value)[test] == rows.label[test]
    assert scores["accuracy_tuned"]["value"] == pytest.approx(right.mean())
    assert verdict.threshold.value != 0.5


def test_test_labels_move_nothing_but_the_figures_of_test_rows(rows, held_out):
    flipped = np.where(rows.split == "test", 1 - rows.label, rows.label).astype(np.int8)
    before, after = (verdict_on(one, held_out) for one in (rows, replace(rows, label=flipped)))
    assert before.threshold == after.threshold
    assert before.scores["held_out"] == after.scores["held_out"]
    np.testing.assert_array_equal(before.row_threshold, after.row_threshold)


def test_unknown_test_labels_give_no_test_figures(rows, held_out):
    label = np.where(rows.split == "test", -1, rows.label).astype(np.int8)
    assert verdict_on(replace(rows, label=label), held_out).scores["test"] is None


def test_no_reported_row_gives_no_held_out_figures(rows, held_out):
    verdict = verdict_on(rows, held_out, np.zeros(len(rows), dtype=bool))
    assert verdict.scores["held_out"] is None
