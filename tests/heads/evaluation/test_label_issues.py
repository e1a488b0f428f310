"""Confident learning finds labels that were turned, and no others by accident."""

import numpy as np
import pytest

from heads.evaluation.label_issues import find_label_issues, self_confidence


def test_issues_are_those_of_the_definition_with_the_least_probable_label_first():
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probability = np.array([0.1, 0.0, 0.6, 0.75, 0.9, 0.95, 0.85, 0.1])
    np.testing.assert_allclose(self_confidence(y, probability)[[2, 7]], [0.4, 0.1])
    # The thresholds are 0.6375 and 0.7: row 2 is predicted to be of class 1, but not that clearly.
    assert find_label_issues(y, probability).tolist() == [7, 3]


def test_issues_need_a_more_probable_other_class_even_above_its_threshold():
    y = np.array([0, 0, 0, 1, 1, 1])
    probability = np.array([0.1, 0.1, 0.45, 0.3, 0.3, 0.2])
    # Row 2 exceeds the threshold of class 1, 0.27, but its own class is more probable.
    assert 2 not in find_label_issues(y, probability)


def test_equally_doubtful_labels_keep_the_order_of_the_rows():
    y = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 20)
    probability = np.tile([0.875, 0.125, 0.125, 0.125, 0.125, 0.875, 0.875, 0.875], 20)
    assert find_label_issues(y, probability).tolist() == list(range(0, 160, 4))


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_have_no_issue(label):
    found = find_label_issues(np.full(4, label), np.array([0.1, 0.4, 0.6, 0.9]))
    assert found.tolist() == []


def test_turned_labels_rank_before_all_others():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 2000)
    probability = np.where(true == 1, rng.beta(8, 2, 2000), rng.beta(2, 8, 2000))
    turned = rng.random(2000) < 0.05
    issues = find_label_issues(np.where(turned, 1 - true, true), probability)
    assert turned[issues[:50]].mean() > 0.9
    assert turned[issues].sum() > 0.5 * turned.sum()
