"""No row is judged by a model, a setting or a stopping point that it had a part in."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import planted
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from features.errors import UserError
from heads import ENTRIES, HEADS, Entry
from heads.crossfit import FOLDS, cross_fit, mean_logit, number_folds, view

BOTH = Entry("spy:Spy")


class Spy:
    """Remembers which rows it was fitted and stopped on: their numbers are the first column."""

    GRID: ClassVar = [{"setting": 0}, {"setting": 1}]
    stops_early: ClassVar = False

    def __init__(self, image_width, seed, setting):
        self.made = {"image_width": image_width, "seed": seed, "setting": setting}

    def fit(self, X, y, eval_set=None):
        self.rows, self.labels = X[:, 0].astype(int), y
        self.stop = None if eval_set is None else eval_set[0][:, 0].astype(int)
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class StoppedSpy(Spy):
    stops_early: ClassVar = True


class Told:
    """Says what one of the columns says, whatever it is fitted on."""

    GRID: ClassVar = [{"column": 0}, {"column": 1}]
    stops_early: ClassVar = False

    def __init__(self, image_width, seed, column):
        self.column = column

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return expit(np.stack([-X[:, self.column], X[:, self.column]], axis=1).astype(float))


@pytest.fixture
def load(monkeypatch):
    """Make every entry load the class given."""
    return lambda kind: monkeypatch.setattr(Entry, "load", lambda self: kind)


def numbered(features):
    """The only space, with row numbers in its first column."""
    space = features.spaces[0]
    image = space.image.copy()
    image[:, 0] = np.arange(len(features))
    return replace(space, image=image)


def relabelled(features, label):
    return replace(features.rows, label=label.astype(np.int8))


def first_setting(name):
    """The head's class, with nothing to choose."""
    kind = HEADS[name].load()
    return type(kind.__name__, (kind,), {"GRID": kind.GRID[:1]})


def held_out_auroc(fitted, rows):
    known = ~np.isnan(fitted.held_out)
    return roc_auc_score(rows.label[known], fitted.held_out[known])


# Folds


@pytest.mark.parametrize("seed", range(3))
def test_folds_cover_the_unseen_rows_and_never_split_a_group(seed):
    features = planted.table()
    rows, space = features.rows, features.spaces[0]
    fold = number_folds(rows, space, seed)
    np.testing.assert_array_equal(fold >= 0, rows.labelled & ~space.seen)
    assert set(fold) == {-1, *range(FOLDS)}
    for group in np.unique(rows.group):
        assert len(set(fold[(rows.group == group) & (fold >= 0)])) <= 1


def test_folds_hold_both_classes_in_like_shares():
    features = planted.table()
    fold = number_folds(features.rows, features.spaces[0], 0)
    shares = [features.rows.label[fold == number].mean() for number in range(FOLDS)]
    assert max(shares) - min(shares) < 0.15


def test_the_labels_of_test_rows_do_not_move_the_folds():
    known, unknown = (planted.table(test_labels=flag) for flag in (True, False))
    folds = [number_folds(one.rows, one.spaces[0], 0) for one in (known, unknown)]
    np.testing.assert_array_equal(*folds)


def test_too_few_unseen_rows_stop_with_the_counts():
    features = planted.table()
    unseen = np.flatnonzero(features.rows.labelled & ~features.spaces[0].seen)
    seen = features.spaces[0].seen.copy()
    seen[unseen[4:]] = True
    space = replace(features.spaces[0], seen=seen)
    with pytest.raises(UserError, match=r"space_0: 4 rows were left out of fine-tuning"):
        number_folds(features.rows, space, 0)


def test_a_class_that_is_all_but_absent_stops_with_its_count():
    features = planted.table()
    label = np.zeros(len(features))
    label[np.flatnonzero(features.rows.labelled & ~features.spaces[0].seen)[:: 144 // 4]] = 1
    with pytest.raises(UserError, match=r"\d hold negative and 4 positive"):
        number_folds(relabelled(features, label), features.spaces[0], 0)


def test_a_class_that_is_all_in_one_group_stops_instead_of_failing_in_a_head():
    features = planted.table()
    rows = features.rows
    few = np.flatnonzero(rows.labelled & ~features.spaces[0].seen)[:12]
    label, group = np.zeros(len(rows)), rows.group.copy()
    label[few], group[few] = 1, group.max() + 1
    rows = replace(relabelled(features, label), group=group)
    with pytest.raises(UserError, match="groups"):
        fold = number_folds(rows, features.spaces[0], 0)
        cross_fit(ENTRIES["linear"], features.spaces[0], rows, fold, 0)


# What models are fitted on


@pytest.mark.parametrize("kind", [Spy, StoppedSpy])
@pytest.mark.parametrize("fitted_on", ["unseen", "all"])
def test_no_model_is_fitted_or_stopped_on_the_rows_it_is_judged_on(load, kind, fitted_on):
    load(kind)
    features = planted.table()
    rows, space = features.rows, numbered(features)
    fold = number_folds(rows, space, 0)
    entry = Entry("spy:Spy", fitted_on=(fitted_on,))
    models = cross_fit(entry, space, rows, fold, 0).models
    assert len(models) == FOLDS
    for number, model in enumerate(models):
        used = [model.rows] if model.stop is None else [model.rows, model.stop]
        groups = [set(rows.group[part]) for part in used]
        assert not set(np.concatenate(used)) & set(np.flatnonzero(fold == number))
        assert not set(rows.group[fold == number]) & set.union(*groups)
        assert not set(rows.split[np.concatenate(used)]) & {"test"}
        assert space.seen[model.rows].any() == (fitted_on == "all")
        np.testing.assert_array_equal(model.labels, rows.label[model.rows])
        if kind.stops_early:
            assert not set.intersection(*groups)
            assert len(model.stop) and not space.seen[model.stop].any()
        expected = (rows.labelled & ~space.seen & (fold != number)).sum()
        expected += space.seen.sum() if fitted_on == "all" else 0
        assert len(np.unique(np.concatenate(used))) == sum(map(len, used)) == expected


def test_a_head_is_told_where_the_image_columns_end_and_its_seed(load):
    load(Spy)
    features = planted.table()
    rows, space = features.rows, numbered(features)
    fitted = cross_fit(BOTH, space, rows, number_folds(rows, space, 0), 5)
    # Of equals the first, which is the most cautious.
    assert fitted.choice == {"setting": 0, "fitted_on": "unseen"}
    assert fitted.models[0].made == {"image_width": planted.WIDTHS[0], "seed": 5, "setting": 0}


def test_views_are_the_columns_they_are_named_after():
    image, text, logit = np.zeros((3, 2)), np.ones((3, 4)), np.arange(3.0)
    parts = {name: Entry("", name) for name in ("both", "image", "text", "joint")}
    shown = {name: view(entry, image, text, logit).tolist() for name, entry in parts.items()}
    assert shown["both"] == [[0, 0, 1, 1, 1, 1]] * 3
    assert shown["image"] == image.tolist()
    assert shown["text"] == text.tolist()
    assert shown["joint"] == [[0], [1], [2]]


# What is held out


@pytest.mark.parametrize("name", ["linear", "joint", "image only"])
def test_held_out_is_missing_just_where_something_saw_the_row(name):
    features = planted.table()
    rows, space = features.rows, features.spaces[0]
    fitted = cross_fit(ENTRIES[name], space, rows, number_folds(rows, space, 0), 0)
    np.testing.assert_array_equal(np.isnan(fitted.held_out), space.seen | ~rows.labelled)
    assert np.isfinite(fitted.probability).all()


def test_held_out_probabilities_are_those_of_the_model_without_the_row(load):
    load(first_setting("linear"))
    features = planted.table("linear")
    rows, space = features.rows, features.spaces[0]
    fold = number_folds(rows, space, 0)
    entry = Entry(HEADS["linear"].path, fitted_on=("unseen",))
    fitted = cross_fit(entry, space, rows, fold, 0)
    X = view(entry, space.image, space.text, space.joint_logit)
    said = [model.predict_proba(X)[:, 1] for model in fitted.models]
    for number in range(FOLDS):
        np.testing.assert_array_equal(fitted.held_out[fold == number], said[number][fold == number])
    np.testing.assert_array_equal(fitted.probability, mean_logit(said))


@pytest.mark.parametrize("number", range(FOLDS))
def test_a_fold_has_no_say_in_which_candidate_is_reported_on_it(load, number):
    load(Told)
    features = planted.table()
    rows, space = features.rows, features.spaces[0]
    fold = number_folds(rows, space, 0)
    side = 2.0 * rows.label - 1
    image = space.image.copy()
    # The second column is best over all, but only thanks to one fold.
    image[:, 0] = side
    image[:, 1] = np.where(fold == number, 8 * side, 0.9 * side)
    entry = Entry("told:Told", fitted_on=("unseen",))
    fitted = cross_fit(entry, replace(space, image=image), rows, fold, 0)
    assert fitted.choice["column"] == 1
    np.testing.assert_allclose(fitted.held_out[fold == number], expit(side)[fold == number])


def test_what_only_seen_rows_give_away_does_not_raise_the_held_out_auroc():
    features = planted.table("noise", 600)
    rows, space = features.rows, features.spaces[0]
    image = space.image.copy()
    image[space.seen, 0] += 8 * rows.label[space.seen] - 4
    space = replace(space, image=image)
    for fitted_on in ("unseen", "all"):
        entry = Entry(HEADS["linear"].path, fitted_on=(fitted_on,))
        fitted = cross_fit(entry, space, rows, number_folds(rows, space, 0), 0)
        assert 0.4 < held_out_auroc(fitted, rows) < 0.6
    seen = fitted.probability[space.seen]
    assert roc_auc_score(rows.label[space.seen], seen) > 0.9, "or else there is nothing to leak"


@pytest.mark.parametrize("name", ["linear", "lightgbm"])
def test_shuffled_labels_give_chance(load, name):
    load(first_setting(name))
    features = planted.table("linear", 600)
    space = features.spaces[0]
    rows = relabelled(features, np.random.default_rng(0).permutation(features.rows.label))
    entry = Entry(HEADS[name].path, fitted_on=("unseen",))
    fitted = cross_fit(entry, space, rows, number_folds(rows, space, 0), 0)
    assert 0.4 < held_out_auroc(fitted, rows) < 0.6


# The mean on the logit scale


def test_the_mean_is_taken_on_the_logit_scale():
    found = mean_logit([np.array([0.5, 0.9]), np.array([expit(2.0), 0.1])])
    np.testing.assert_allclose(found, [expit(1.0), 0.5])


def test_who_has_no_say_is_left_out_of_the_mean():
    nan = np.nan
    found = mean_logit([np.array([0.2, nan, nan]), np.array([nan, 0.7, nan])])
    np.testing.assert_allclose(found, [0.2, 0.7, nan])


@pytest.mark.filterwarnings("error")
def test_certainty_stays_finite():
    found = mean_logit([np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])])
    assert (found >= 0).all() and (found <= 1).all()
    assert found[2] == pytest.approx(0.5)
