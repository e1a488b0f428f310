"""No row is judged by a model, or by a choice, that it had a part in."""

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

from heads.evaluation.out_of_fold import PARTS, cut_parts, mean_logit
from heads.fitting.cross_validation import cross_fit, fits
from heads.fitting.head_inputs import Columns, Projected, columns_of
from heads.registry import ENTRIES, HEADS, Entry
from runtime.errors import UserError

FITTED_ON = ("seen", "unseen", "all")


def columns(features, X=None, names=planted.TWO):
    """What a head is given of some spaces; `X` (N, columns) in place of their embeddings."""
    spaces = [space for space in features.spaces if space.name in names]
    width = planted.WIDTHS[0]
    shown = {
        space.name: Projected(
            np.concatenate([space.image, space.text], axis=1) if X is None else X, width
        )
        for space in spaces
    }
    return columns_of(ENTRIES["linear"], spaces, shown, features.rows.labelled)


def numbered(features, names=planted.TWO):
    """Spaces whose first column is the row's number."""
    X = np.zeros((len(features), sum(planted.WIDTHS)), dtype=np.float32)
    X[:, 0] = np.arange(len(features))
    return columns(features, X, names)


def fit(entry, spaces, features, label=None):
    part = cut_parts(features.rows, 0)
    return cross_fit(entry, spaces, features.rows.label if label is None else label, part, 5)


def held_out_auroc(fitted, y):
    known = ~np.isnan(fitted.held_out)
    return roc_auc_score(y[known], fitted.held_out[known])


@pytest.fixture(scope="module")
def features():
    return planted.table("linear")


@pytest.fixture(scope="module")
def noise():
    return planted.table("noise", 600)


# Rows to fit on


@pytest.mark.parametrize("fitted_on", FITTED_ON)
@pytest.mark.parametrize("name", ["space_0", "space_1", "pretrained"])
def test_fits_take_the_rows_they_are_named_after(features, name, fitted_on):
    rows, part = features.rows, cut_parts(features.rows, 0)
    [space] = columns(features, names=[name])
    found = fits(space, fitted_on, part)
    if fitted_on == "seen":
        np.testing.assert_array_equal(found, [(space.seen, space.held_out)])
        return
    usable = rows.labelled if fitted_on == "all" else rows.labelled & ~space.seen
    assert len(found) == PARTS
    for number, (fitted, _) in enumerate(found):
        np.testing.assert_array_equal(fitted, usable & (part != number))


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_of_a_huge_table_each_fit_takes_some_rows_from_all_over(features, monkeypatch, fitted_on):
    part = cut_parts(features.rows, 0)
    [space] = columns(features, names=["space_0"])
    whole = fits(space, fitted_on, part)
    monkeypatch.setattr("heads.fitting.cross_validation.MOST_ROWS", 20)
    for (few, own), (every, scored) in zip(fits(space, fitted_on, part), whole, strict=True):
        assert few.sum() == 20 < every.sum()
        assert not (few & ~every).any()
        places = np.searchsorted(np.flatnonzero(every), np.flatnonzero(few))
        assert np.diff(places).max() <= every.sum() / 19 + 1
        np.testing.assert_array_equal(own, scored)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_fits_score_every_held_out_row_once_and_share_no_group_with_it(features, fitted_on):
    rows, part = features.rows, cut_parts(features.rows, 0)
    for space in columns(features):
        assert (~space.held_out & rows.labelled & ~space.seen).any(), "some rows are monitored"
        found = fits(space, fitted_on, part)
        np.testing.assert_array_equal(sum(own.astype(int) for _, own in found), space.held_out)
        for fitted, own in found:
            assert not set(rows.group[fitted]) & set(rows.group[own])
            assert not (fitted & ~rows.labelled).any()


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_models_are_fitted_on_these_rows_with_their_labels(features, fitted_on):
    rows, part = features.rows, cut_parts(features.rows, 0)
    spaces = numbered(features)
    fitted = fit(Entry("probes:Spy", fitted_on=(fitted_on,)), spaces, features)
    assert list(fitted.models) == list(planted.TWO)
    counts = []
    for space in spaces:
        expected = [np.flatnonzero(own) for own, _ in fits(space, fitted_on, part)]
        for model, places in zip(fitted.models[space.space], expected, strict=True):
            np.testing.assert_array_equal(model.rows, places)
            np.testing.assert_array_equal(model.labels, rows.label[places])
            counts.append(len(places))
    assert fitted.fitted_rows == round(np.mean(counts))


def test_a_head_is_told_where_the_image_columns_end_and_its_seed(features):
    fitted = fit(Entry("probes:Spy"), numbered(features), features)
    # Of equals the first, which is the most cautious.
    assert fitted.choice == {"setting": 0, "fitted_on": "seen"}
    made = fitted.models["space_0"][0].made
    assert made == {"image_width": planted.WIDTHS[0], "seed": 5, "setting": 0}


def test_an_entrys_own_grid_takes_the_place_of_the_classs(features):
    entry = Entry("probes:Spy", grid=({"setting": 7},))
    assert fit(entry, numbered(features), features).choice["setting"] == 7


def test_spaces_that_saw_nothing_are_fitted_on_their_unseen_rows(features):
    spaces = numbered(features, ["pretrained"])
    fitted = fit(Entry("probes:Spy", fitted_on=("seen",)), spaces, features)
    assert fitted.choice["fitted_on"] == "unseen"
    assert len(fitted.models["pretrained"]) == PARTS


def test_rows_left_to_fit_on_of_one_class_stop_with_the_space(features):
    label = np.where(columns(features)[1].seen, 1, features.rows.label)
    with pytest.raises(UserError, match=r"space_1: of the rows .* all \d+ are of one class"):
        fit(ENTRIES["linear"], columns(features), features, label)


# What is held out


@pytest.mark.parametrize("spaces", [planted.ONE, planted.TWO])
@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_held_out_is_missing_just_where_every_space_touched_the_row(spaces, fitted_on):
    features = planted.table("linear", spaces=spaces)
    entry = Entry(HEADS["linear"].path, fitted_on=(fitted_on,), grid=({},))
    fitted = fit(entry, columns(features), features)
    untouched = np.any([space.untouched for space in features.spaces], axis=0)
    np.testing.assert_array_equal(~np.isnan(fitted.held_out), features.rows.labelled & untouched)
    np.testing.assert_array_equal(~np.isnan(fitted.held_out), features.reported)
    np.testing.assert_array_equal(np.isfinite(fitted.final), ~features.rows.labelled)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_held_out_probabilities_are_those_of_the_model_without_the_row(features, fitted_on):
    part, spaces = cut_parts(features.rows, 0), columns(features)
    entry = Entry(HEADS["linear"].path, fitted_on=(fitted_on,), grid=({},))
    fitted = fit(entry, spaces, features)
    said = []
    for space in spaces:
        for model, (_, own) in zip(
            fitted.models[space.space], fits(space, fitted_on, part), strict=True
        ):
            said.append(model.predict_proba(space.X)[:, 1])
            np.testing.assert_allclose(fitted.held_out[own], said[-1][own], rtol=1e-12)
    test = part < 0
    np.testing.assert_array_equal(fitted.final[test], mean_logit(said)[test])


@pytest.mark.parametrize("number", range(PARTS))
def test_a_part_has_no_say_in_which_candidate_is_reported_on_it(features, number):
    part = cut_parts(features.rows, 0)
    own = part == number
    side = 2.0 * features.rows.label - 1
    # The second column is best over all, but only thanks to one part.
    X = np.stack([side, np.where(own, 8 * side, 0.9 * side)], axis=1).astype(np.float32)
    fitted = fit(Entry("probes:Told"), columns(features, X), features)
    assert fitted.choice["column"] == 1
    steady = fit(Entry("probes:Told", grid=({"column": 0},)), columns(features, X), features)
    np.testing.assert_array_equal(fitted.held_out[own], steady.held_out[own])
    assert (fitted.held_out[~own] != steady.held_out[~own])[part[~own] >= 0].all()


def test_rows_that_mislead_are_not_fitted_on(features):
    seen = np.array([space.seen for space in features.spaces[:2]])
    side = 2.0 * features.rows.label - 1
    spaces = [
        Columns(name, np.where(own, -side, side)[:, None].astype("f4"), 0, own, space.held_out)
        for name, own, space in zip(planted.TWO, seen, columns(features), strict=True)
    ]
    fitted = fit(ENTRIES["linear"], spaces, features)
    assert fitted.choice["fitted_on"] == "unseen"
    assert held_out_auroc(fitted, features.rows.label) > 0.99


# Nothing leaks


def memory_auroc(features, X, fitted_on):
    fitted = fit(Entry("probes:Memory", fitted_on=(fitted_on,)), columns(features, X), features)
    return held_out_auroc(fitted, features.rows.label)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_a_head_that_knows_its_rows_by_heart_is_at_chance_on_noise(noise, fitted_on):
    assert 0.4 < memory_auroc(noise, None, fitted_on) < 0.6


@pytest.mark.parametrize("fitted_on", ["unseen", "all"])
def test_a_label_copied_into_a_near_duplicate_does_not_leak_through_parts(noise, fitted_on):
    rows = noise.rows
    # Near-duplicates look alike and have the same label, and nothing else tells the label.
    first = np.array([np.flatnonzero(rows.group == group)[0] for group in rows.group])
    X = np.random.default_rng(0).normal(size=(len(rows), 8)).astype("f4")[first]
    label = rows.label[first]
    part = cut_parts(rows, 0)
    entry = Entry("probes:Memory", fitted_on=(fitted_on,))

    def auroc(part):
        return held_out_auroc(cross_fit(entry, columns(noise, X), label, part, 0), label)

    assert 0.35 < auroc(part) < 0.65
    split = np.where(part >= 0, np.arange(len(rows)) % PARTS, -1)
    assert auroc(split) > 0.7, "or else there is nothing to leak"


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_what_only_seen_rows_give_away_does_not_raise_the_held_out_auroc(noise, fitted_on):
    label, spaces = noise.rows.label, columns(noise)
    for space in spaces:
        space.X[space.seen, 0] = 8 * label[space.seen] - 4
    fitted = fit(Entry(HEADS["linear"].path, fitted_on=(fitted_on,)), spaces, noise)
    assert 0.4 < held_out_auroc(fitted, label) < 0.6
    if fitted_on != "unseen":
        space = spaces[0]
        said = fitted.models[space.space][0].predict_proba(space.X)[space.seen, 1]
        assert roc_auc_score(label[space.seen], said) > 0.8, "or else there is nothing to leak"
