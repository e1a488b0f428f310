"""A check that cannot fail is no check: each is shown a lie and has to catch it."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

from heads.check.leak_checks import null_error, seen_against_unseen, shuffled_labels
from heads.evaluation.out_of_fold import cut_parts
from heads.fitting.cross_validation import cross_fit
from heads.fitting.head_inputs import Projected
from heads.fitting.held_out_evaluation import Protocol


@pytest.fixture
def features():
    return planted.table("xor", count=600, spaces=planted.TWO)


def columns(features):
    return {
        space.name: Projected(np.concatenate([space.image, space.text], axis=1), 6)
        for space in features.spaces
    }


def protocol(features):
    return Protocol(features.rows, cut_parts(features.rows, 0), "accuracy", 0)


def shuffled(features, group=None):
    rows = features.rows if group is None else replace(features.rows, group=group)
    table = replace(features, rows=rows)
    return shuffled_labels(table, columns(table), protocol(table))


def test_shuffled_labels_score_as_chance_does(features, quick):
    check = shuffled(features)
    assert check.ok
    assert check.figures["auroc"] == pytest.approx(0.5, abs=3 * check.figures["standard_error"])


def test_held_out_scores_that_know_the_rows_own_labels_are_caught(features, quick, monkeypatch):
    def leaking(entry, spaces, label, part, seed):
        fitted = cross_fit(entry, spaces, label, part, seed)
        known = ~np.isnan(fitted.held_out)
        return replace(fitted, held_out=np.where(known, label * 0.9 + 0.05, np.nan))

    monkeypatch.setattr("heads.check.leak_checks.cross_fit", leaking)
    check = shuffled(features)
    assert not check.ok
    assert "leak" in check.sentence


def test_the_null_error_is_what_chance_scores_spread_by():
    rng = np.random.default_rng(0)
    label = np.r_[np.ones(60), np.zeros(140)].astype(int)
    spread = np.std([roc_auc_score(label, rng.random(200)) for _ in range(150)])
    assert null_error(label) == pytest.approx(spread, rel=0.2)


def seen_checks(features):
    return seen_against_unseen(features, columns(features), protocol(features))


def test_a_feature_planted_in_seen_rows_alone_is_told_by_the_detector(features):
    honest = [check.figures["detector_auroc"] for check in seen_checks(features)]
    assert all(0.35 < auroc < 0.65 for auroc in honest)
    spaces = [
        replace(space, image=np.where(space.seen[:, None], space.image + 3, space.image))
        for space in features.spaces
    ]
    assert all(
        check.figures["detector_auroc"] > 0.95
        for check in seen_checks(replace(features, spaces=spaces))
    )


def test_rows_wrongly_declared_unseen_are_caught(features):
    def fitted(space):
        """Logits that know the labels of the rows the backbones were fitted on."""
        known = np.where(space.seen, features.rows.label * 6.0 - 3, 0)
        noise = np.random.default_rng(0).normal(size=len(features))
        return replace(space, joint_logit=(known + noise).astype(np.float32))

    honest = [fitted(space) for space in features.spaces]
    gaps = [check.figures["gap"] for check in seen_checks(replace(features, spaces=honest))]
    assert min(gaps) > 0.3
    swapped = [replace(space, seen=~space.seen & features.rows.labelled) for space in honest]
    checks = seen_checks(replace(features, spaces=swapped))
    assert not any(check.ok for check in checks)
    assert "marks the wrong rows" in checks[0].sentence
