"""Cross-validation: no row is scored by a model or a choice that it influenced."""

import numpy as np
import planted
import pytest
from planted import head_inputs
from probes import OneColumn
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from heads.evaluation.out_of_fold import PARTS, assign_parts, mean_logit
from heads.fitting.candidate_fits import compared_rows, cross_validation_splits
from heads.fitting.cross_validation import cross_validate
from heads.fitting.head_inputs import HeadInputs
from heads.registry import ENTRIES, HEADS, Entry
from runtime.errors import UserError

FITTED_ON = ("seen", "unseen", "all")


def numbered(features, names=planted.TWO_SPACES):
    """Head inputs whose first column is the row number."""
    X = np.zeros((len(features), sum(planted.WIDTHS)), dtype=np.float32)
    X[:, 0] = np.arange(len(features))
    return head_inputs(features, X, names)


def fit(entry, spaces, features, label=None):
    label = features.rows.label if label is None else label
    part = assign_parts(features.rows, 0)
    return cross_validate(entry, {"kind": spaces}, label, part, 5)["kind"]


def held_out_auroc(fitted, y):
    known = ~np.isnan(fitted.held_out)
    return roc_auc_score(y[known], fitted.held_out[known])


@pytest.fixture(params=[False, True], ids=["few rows", "many rows"])
def many_rows(request, monkeypatch):
    """Run the test also as if the table were too large to compare candidates on all rows."""
    if request.param:
        monkeypatch.setattr("heads.fitting.candidate_fits.COMPARED_ON_ALL", 0)
    return request.param


@pytest.fixture(scope="module")
def features():
    return planted.table("linear")


@pytest.fixture(scope="module")
def noise():
    return planted.table("noise", 600)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_models_are_fitted_on_the_rows_of_the_splits(features, fitted_on, many_rows):
    rows, part = features.rows, assign_parts(features.rows, 0)
    spaces = numbered(features)
    fitted = fit(Entry("probes:Spy", fitted_on=(fitted_on,)), spaces, features)
    assert list(fitted.models) == list(planted.TWO_SPACES)
    counts = []
    for space in spaces:
        splits = cross_validation_splits(space, fitted_on, part)
        expected = [np.flatnonzero(train) for train, _ in splits]
        for model, indices in zip(fitted.models[space.space], expected, strict=True):
            np.testing.assert_array_equal(model.rows, indices)
            np.testing.assert_array_equal(model.labels, rows.label[indices])
            counts.append(len(indices))
    assert fitted.fitted_rows == round(np.mean(counts))


def test_candidates_are_selected_on_a_sample_and_the_best_predicts_all_rows(noise, monkeypatch):
    # The second column is the label, but only within the sample.
    label = noise.rows.label
    X = np.zeros((len(noise), 10), np.float32)
    X[:, 1] = label * 4 - 2
    whole = fit(Entry("probes:OneColumn", fitted_on=("all",)), head_inputs(noise, X), noise)
    sample = np.zeros(len(noise), bool)
    sample[np.flatnonzero(noise.rows.labelled)[:: len(noise) // 100]] = True
    X[~sample, 1] = 0
    spaces = head_inputs(noise, X)
    monkeypatch.setattr(
        "heads.fitting.candidate_fits.subsample", lambda rows, maximum: rows & sample
    )
    sampled = fit(Entry("probes:OneColumn", fitted_on=("all",)), spaces, noise)
    assert sampled.choice == whole.choice == {"column": 1, "fitted_on": "all"}
    np.testing.assert_array_equal(np.isnan(sampled.held_out), np.isnan(whole.held_out))
    known = ~np.isnan(whole.held_out)
    np.testing.assert_array_equal(sampled.held_out[known & sample], whole.held_out[known & sample])
    assert (sampled.held_out[known & ~sample] == 0.5).all()


@pytest.mark.parametrize(
    ("names", "compared_fits", "all_fits"), [(planted.ONE_SPACE, 2, 5), (planted.TWO_SPACES, 5, 10)]
)
def test_of_many_rows_only_the_best_candidate_is_fitted_to_score_the_rest(
    noise, names, compared_fits, all_fits, many_rows, monkeypatch
):
    fits = []

    class Counted(OneColumn):
        def fit(self, X, y):
            fits.append(self.column)
            return self

    monkeypatch.setattr("probes.OneColumn", Counted)
    # The first column is the label where candidates are compared, the second one elsewhere.
    compared = compared_rows(head_inputs(noise, names=names), assign_parts(noise.rows, 0))
    X = np.zeros((len(noise), 10), np.float32)
    X[:, 0], X[:, 1] = np.where([compared, ~compared], 4.0 * noise.rows.label - 2, 0)
    fitted = fit(Entry("probes:OneColumn", fitted_on=("all",)), head_inputs(noise, X, names), noise)
    assert fitted.choice["column"] == 0
    assert fits.count(0) == all_fits == sum(map(len, fitted.models.values()))
    assert fits.count(1) == (compared_fits if many_rows else all_fits)


@pytest.mark.parametrize("names", [planted.ONE_SPACE, planted.TWO_SPACES])
@pytest.mark.parametrize("number", [*range(PARTS), None])
def test_no_row_influences_the_candidate_that_it_is_scored_with(features, names, number, many_rows):
    part = assign_parts(features.rows, 0)
    compared = compared_rows(head_inputs(features, names=names), part)
    # Rows of one part that candidates are compared on, or all others.
    rows = part >= 0 if number is None else part == number
    rows &= compared if number is not None else ~compared
    sign = 2.0 * features.rows.label - 1
    for misleading in (-9.0, 9.0):
        # The second column is slightly better than the first, but for these rows.
        X = np.stack([sign, np.where(rows, misleading * sign, 1.1 * sign)], axis=1)
        entry = Entry("probes:OneColumn", fitted_on=("all",))
        fitted = fit(entry, head_inputs(features, X.astype("f4"), names), features)
        known = rows & ~np.isnan(fitted.held_out)
        np.testing.assert_allclose(fitted.held_out[known], expit(X[known, 1]), rtol=1e-5)


def test_heads_are_created_with_image_width_and_seed(features):
    fitted = fit(Entry("probes:Spy"), numbered(features), features)
    # Ties go to the first candidate, which is the most conservative.
    assert fitted.choice == {"setting": 0, "fitted_on": "seen"}
    arguments = fitted.models["space_0"][0].arguments
    assert arguments == {"image_width": planted.WIDTHS[0], "seed": 5, "setting": 0}


def test_grid_of_the_entry_replaces_that_of_the_class(features):
    entry = Entry("probes:Spy", grid=({"setting": 7},))
    assert fit(entry, numbered(features), features).choice["setting"] == 7


def test_spaces_without_seen_rows_are_fitted_on_unseen_rows(features):
    spaces = numbered(features, ["pretrained"])
    fitted = fit(Entry("probes:Spy", fitted_on=("seen",)), spaces, features)
    assert fitted.choice["fitted_on"] == "unseen"
    assert len(fitted.models["pretrained"]) == PARTS


def test_training_rows_of_one_class_raise_an_error_that_names_the_space(features):
    label = np.where(head_inputs(features)[1].seen, 1, features.rows.label)
    with pytest.raises(UserError, match=r"space_1: of the rows .* all \d+ are of one class"):
        fit(ENTRIES["linear"], head_inputs(features), features, label)


# Held-out probabilities


@pytest.mark.parametrize("spaces", [planted.ONE_SPACE, planted.TWO_SPACES])
@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_held_out_is_nan_only_where_no_space_holds_the_row_out(spaces, fitted_on, many_rows):
    features = planted.table("linear", spaces=spaces)
    entry = Entry(HEADS["linear"].path, fitted_on=(fitted_on,), grid=({}, {"C": 1.0}))
    fitted = fit(entry, head_inputs(features), features)
    held_out = np.any([space.held_out for space in features.spaces], axis=0)
    np.testing.assert_array_equal(~np.isnan(fitted.held_out), features.rows.labelled & held_out)
    np.testing.assert_array_equal(~np.isnan(fitted.held_out), features.reported)
    np.testing.assert_array_equal(np.isfinite(fitted.final), ~features.rows.labelled)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_held_out_probabilities_come_from_the_model_without_the_row(features, fitted_on, many_rows):
    part, spaces = assign_parts(features.rows, 0), head_inputs(features)
    entry = Entry(HEADS["linear"].path, fitted_on=(fitted_on,), grid=({},))
    fitted = fit(entry, spaces, features)
    probabilities = []
    for space in spaces:
        splits = cross_validation_splits(space, fitted_on, part)
        for model, (_, scored) in zip(fitted.models[space.space], splits, strict=True):
            found = model.predict_proba(space.X)[:, 1]
            np.testing.assert_allclose(fitted.held_out[scored], found[scored], rtol=1e-12)
            probabilities.append(found)
    test = part < 0
    np.testing.assert_array_equal(fitted.final[test], mean_logit(probabilities)[test])


@pytest.mark.parametrize("number", range(PARTS))
def test_candidate_reported_for_a_part_is_selected_without_it(features, number):
    part = assign_parts(features.rows, 0)
    in_part = part == number
    sign = 2.0 * features.rows.label - 1
    # The second column is best overall, but only because of one part.
    X = np.stack([sign, np.where(in_part, 8 * sign, 0.9 * sign)], axis=1).astype(np.float32)
    fitted = fit(Entry("probes:OneColumn"), head_inputs(features, X), features)
    assert fitted.choice["column"] == 1
    first_column = Entry("probes:OneColumn", grid=({"column": 0},))
    steady = fit(first_column, head_inputs(features, X), features)
    np.testing.assert_array_equal(fitted.held_out[in_part], steady.held_out[in_part])
    assert (fitted.held_out[~in_part] != steady.held_out[~in_part])[part[~in_part] >= 0].all()


def test_fitted_on_excludes_misleading_rows(features):
    seen = np.array([space.seen for space in features.spaces[:2]])
    sign = 2.0 * features.rows.label - 1
    spaces = [
        HeadInputs(name, np.where(s, -sign, sign)[:, None].astype("f4"), 0, s, space.held_out)
        for name, s, space in zip(planted.TWO_SPACES, seen, head_inputs(features), strict=True)
    ]
    fitted = fit(ENTRIES["linear"], spaces, features)
    assert fitted.choice["fitted_on"] == "unseen"
    assert held_out_auroc(fitted, features.rows.label) > 0.99


# Leaks


def memoriser_auroc(features, X, fitted_on):
    entry = Entry("probes:Memoriser", fitted_on=(fitted_on,))
    fitted = fit(entry, head_inputs(features, X), features)
    return held_out_auroc(fitted, features.rows.label)


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_head_that_memorises_its_rows_is_at_chance_on_noise(noise, fitted_on):
    assert 0.4 < memoriser_auroc(noise, None, fitted_on) < 0.6


@pytest.mark.parametrize("fitted_on", ["unseen", "all"])
def test_labels_of_near_duplicates_do_not_leak_between_parts(noise, fitted_on):
    rows = noise.rows
    # Near-duplicates have the same features and label; otherwise labels are random.
    first = np.array([np.flatnonzero(rows.group == group)[0] for group in rows.group])
    X = np.random.default_rng(0).normal(size=(len(rows), 8)).astype("f4")[first]
    label = rows.label[first]
    part = assign_parts(rows, 0)
    entry = Entry("probes:Memoriser", fitted_on=(fitted_on,))

    def auroc(part):
        fitted = cross_validate(entry, {"kind": head_inputs(noise, X)}, label, part, 0)
        return held_out_auroc(fitted["kind"], label)

    assert 0.35 < auroc(part) < 0.65
    split = np.where(part >= 0, np.arange(len(rows)) % PARTS, -1)
    assert auroc(split) > 0.7, "otherwise there is nothing to leak"


@pytest.mark.parametrize("fitted_on", FITTED_ON)
def test_labels_leaked_into_seen_rows_do_not_raise_the_held_out_auroc(noise, fitted_on):
    label, spaces = noise.rows.label, head_inputs(noise)
    for space in spaces:
        space.X[space.seen, 0] = 8 * label[space.seen] - 4
    fitted = fit(Entry(HEADS["linear"].path, fitted_on=(fitted_on,)), spaces, noise)
    assert 0.4 < held_out_auroc(fitted, label) < 0.6
    if fitted_on != "unseen":
        space = spaces[0]
        probability = fitted.models[space.space][0].predict_proba(space.X)[space.seen, 1]
        auroc = roc_auc_score(label[space.seen], probability)
        assert auroc > 0.8, "otherwise there is nothing to leak"
