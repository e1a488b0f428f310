"""Test that the leak checks pass on clean features and fail on features with planted leaks."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

from heads.check.leak_checks import null_error, seen_vs_held_out, shuffled_labels
from heads.evaluation.out_of_fold import assign_parts
from heads.fitting.cross_validation import cross_validate
from heads.fitting.head_inputs import Projected
from heads.fitting.held_out_evaluation import Protocol


@pytest.fixture
def features():
    return planted.table("xor", count=600, spaces=planted.TWO_SPACES)


def columns(features):
    return {
        space.name: Projected(np.concatenate([space.image, space.text], axis=1), 6)
        for space in features.spaces
    }


def protocol(features):
    return Protocol(features.rows, assign_parts(features.rows, 0), "accuracy", 0)


def run_shuffled_labels(features, group=None):
    rows = features.rows if group is None else replace(features.rows, group=group)
    table = replace(features, rows=rows)
    return shuffled_labels(table, columns(table), protocol(table))


def test_auroc_on_shuffled_labels_is_at_chance(features, quick):
    check = run_shuffled_labels(features)
    assert check.ok
    assert check.figures["auroc"] == pytest.approx(0.5, abs=3 * check.figures["standard_error"])


def test_held_out_scores_that_leak_labels_fail(features, quick, monkeypatch):
    def leaking(entry, inputs, label, part, seed):
        fitted = cross_validate(entry, inputs, label, part, seed)
        leaked = label * 0.9 + 0.05
        return {
            kind: replace(one, held_out=np.where(np.isnan(one.held_out), np.nan, leaked))
            for kind, one in fitted.items()
        }

    monkeypatch.setattr("heads.check.leak_checks.cross_validate", leaking)
    check = run_shuffled_labels(features)
    assert not check.ok
    assert "leak" in check.sentence


def test_null_error_is_the_standard_deviation_of_random_scores():
    rng = np.random.default_rng(0)
    label = np.r_[np.ones(60), np.zeros(140)].astype(int)
    deviation = np.std([roc_auc_score(label, rng.random(200)) for _ in range(150)])
    assert null_error(label) == pytest.approx(deviation, rel=0.2)


def run_seen_vs_held_out(features):
    return seen_vs_held_out(features, columns(features), protocol(features))


def test_detector_finds_a_feature_planted_in_seen_rows_only(features):
    clean = [check.figures["detector_auroc"] for check in run_seen_vs_held_out(features)]
    assert all(0.35 < auroc < 0.65 for auroc in clean)
    spaces = [
        replace(space, image=np.where(space.seen[:, None], space.image + 3, space.image))
        for space in features.spaces
    ]
    assert all(
        check.figures["detector_auroc"] > 0.95
        for check in run_seen_vs_held_out(replace(features, spaces=spaces))
    )


def test_seen_rows_marked_as_held_out_fail(features):
    def fitted(space):
        """Logits that depend on the labels of the rows that the backbones were fitted on."""
        signal = np.where(space.seen, features.rows.label * 6.0 - 3, 0)
        noise = np.random.default_rng(0).normal(size=len(features))
        return replace(space, joint_logit=(signal + noise).astype(np.float32))

    correct = [fitted(space) for space in features.spaces]
    checks = run_seen_vs_held_out(replace(features, spaces=correct))
    gaps = [check.figures["gap"] for check in checks]
    assert min(gaps) > 0.3
    swapped = [replace(space, seen=~space.seen & features.rows.labelled) for space in correct]
    checks = run_seen_vs_held_out(replace(features, spaces=swapped))
    assert not any(check.ok for check in checks)
    assert "marks the wrong rows" in checks[0].sentence
