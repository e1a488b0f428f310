"""Heads are given few columns of each space, computed once, whatever test rows look like."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.decomposition import PCA

import heads.fitting.head_inputs
from features.hdf5_store import read_features
from heads.fitting.head_inputs import (
    Projected,
    columns_of,
    logit_columns,
    project,
    read_projections,
    view,
)
from heads.fitting.projection import COMPONENTS, Projection, fit_projection
from heads.registry import ENTRIES, Entry


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def embeddings(rng):
    """Wide and far from zero, as embeddings are."""
    return [
        (rng.normal(size=(150, w)) @ rng.normal(size=(w, w)) + 5).astype("f4") for w in (90, 20)
    ]


# One space


def test_axes_are_the_principal_ones_however_the_rows_come(embeddings):
    image, text = embeddings
    blocks = [(image[i : i + 40], text[i : i + 40]) for i in range(0, 150, 40)]
    projection = fit_projection(blocks)
    for values, mean, axes in (
        (image, projection.image_mean, projection.image_axes),
        (text, projection.text_mean, projection.text_axes),
    ):
        pca = PCA(axes.shape[1]).fit(values.astype(float))
        np.testing.assert_allclose(mean, pca.mean_)
        unit = axes / np.linalg.norm(axes, axis=0)
        np.testing.assert_allclose(
            np.abs(unit.T @ pca.components_.T), np.eye(len(unit.T)), atol=1e-6
        )


def test_each_modality_gets_as_many_components_as_it_can_and_mean_square_norm_1(embeddings):
    projection = fit_projection([embeddings])
    X, width = projection.apply(*embeddings), projection.image_width
    assert (X.shape, X.dtype, width) == ((150, COMPONENTS + 20), np.float32, COMPONENTS)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    # All of the text's variance, nearly all of the picture's.
    assert (X[:, width:] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)
    assert 0.9 < (X[:, :width] ** 2).sum(axis=1).mean() < 1


def test_components_come_in_the_order_of_their_variance(embeddings):
    projection = fit_projection([embeddings])
    X, width = projection.apply(*embeddings), projection.image_width
    for part in (X[:, :width], X[:, width:]):
        assert (np.diff(part.var(axis=0)) < 0).all()


def test_what_is_nearer_stays_nearer(embeddings):
    text = embeddings[1].astype(float)
    projection = fit_projection([embeddings])
    columns = projection.apply(*embeddings)[:, projection.image_width :]
    before, after = (np.linalg.norm(one[1:] - one[0], axis=1) for one in (text, columns))
    np.testing.assert_allclose(after / before, (after / before)[0], rtol=1e-4)


def test_fewer_rows_than_columns_are_no_trouble(embeddings):
    few = [one[:30] for one in embeddings]
    assert fit_projection([few]).apply(*embeddings).shape == (150, 30 + 20)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_an_embedding_that_says_nothing_is_no_trouble(embeddings):
    blank = np.zeros_like(embeddings[0])
    X = fit_projection([(blank, embeddings[1])]).apply(blank, embeddings[1])
    assert np.isfinite(X).all()


def test_saved_and_loaded_it_gives_the_same_bits(embeddings, tmp_path):
    projection = fit_projection([embeddings])
    projection.save(tmp_path / "space_0.npz")
    again = Projection.load(tmp_path / "space_0.npz").apply(*embeddings)
    np.testing.assert_array_equal(again, projection.apply(*embeddings))


def test_a_meme_projected_alone_gets_what_it_gets_in_a_batch(embeddings):
    projection = fit_projection([embeddings])
    alone = [projection.apply(*(one[n : n + 1] for one in embeddings))[0] for n in range(150)]
    np.testing.assert_allclose(alone, projection.apply(*embeddings), rtol=0, atol=1e-7)


# All spaces of a run


@pytest.fixture
def features():
    return planted.table(count=90)


@pytest.fixture
def run(features, tmp_path):
    planted.write(tmp_path / "features.h5", features)
    return tmp_path


def table(run):
    return read_features(run / "features.h5", embeddings=False)


def test_columns_are_those_of_the_features_though_the_table_has_no_embeddings(features, run):
    found = project(table(run), run)
    assert list(found) == list(planted.ALL)
    labelled = features.rows.labelled
    for space in features.spaces:
        projection = fit_projection([(space.image[labelled], space.text[labelled])])
        expected = projection.apply(space.image, space.text)
        np.testing.assert_array_equal(found[space.name].X, expected)
        assert found[space.name].image_width == projection.image_width


def test_test_rows_do_not_move_the_axes(features, run):
    before = project(table(run), run)
    test = features.rows.split == "test"
    moved = [
        replace(space, image=np.where(test[:, None], 100 * space.image, space.image))
        for space in features.spaces
    ]
    other = replace(features, spaces=moved, attributes={**features.attributes, "stamp": "b"})
    planted.write(run / "features.h5", other)
    after = project(table(run), run)
    for name, columns in before.items():
        np.testing.assert_array_equal(after[name].X[~test], columns.X[~test])
        assert (after[name].X[test] != columns.X[test]).any()


def test_columns_are_computed_once_a_run(run, monkeypatch):
    before = project(table(run), run)
    monkeypatch.setattr(heads.fitting.head_inputs, "fit_projection", None)
    for name, columns in project(table(run), run).items():
        np.testing.assert_array_equal(columns.X, before[name].X)


def test_columns_of_other_features_are_not_used(run):
    before = project(table(run), run)
    planted.write(run / "features.h5", planted.table(count=90, seed=1, stamp="b"))
    after = project(table(run), run)
    assert all((after[name].X != columns.X).any() for name, columns in before.items())


def test_projecting_that_broke_off_is_not_taken_for_finished(features, run, monkeypatch):
    project(table(run), run)
    before = read_projections(run, features)
    other = planted.table(count=90, seed=1, stamp="b")
    planted.write(run / "features.h5", other)
    with monkeypatch.context() as patch:
        patch.setattr(Projection, "apply", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            project(table(run), run)
    # Back to the features that were projected first, some of whose axes are overwritten by now.
    planted.write(run / "features.h5", features)
    project(table(run), run)
    for name, axes in read_projections(run, features).items():
        np.testing.assert_array_equal(axes.image_axes, before[name].image_axes)


# What a head sees of them


def test_views_are_the_columns_they_are_named_after(features):
    tuned, _, pretrained, _ = features.spaces
    projected = Projected(np.arange(12.0).reshape(2, 6), 4)
    shown = {name: view(Entry("", name), tuned, projected) for name in ("both", "image", "text")}
    assert shown["both"] == projected
    assert shown["image"].X.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert shown["image"].image_width == 4
    assert shown["text"].X.tolist() == [[4, 5], [10, 11]]
    assert shown["text"].image_width == 0
    joint = view(Entry("", "joint"), tuned, projected)
    np.testing.assert_array_equal(joint.X, tuned.joint_logit[:, None])
    assert view(Entry("", "joint"), pretrained, projected) is None


def test_what_backbones_saw_or_chose_their_epoch_on_is_not_held_out(features, run):
    labelled = features.rows.labelled
    projected = project(table(run), run)
    found = columns_of(ENTRIES["linear"], features.spaces, projected, labelled)
    assert [columns.space for columns in found] == list(planted.ALL)
    for columns, space in zip(found, features.spaces, strict=True):
        np.testing.assert_array_equal(columns.seen, space.seen)
        np.testing.assert_array_equal(columns.held_out, labelled & ~space.seen & ~space.monitored)
    tuned, pretrained = found[0], found[2]
    assert features.spaces[0].monitored.any() and tuned.seen.any() and tuned.held_out.any()
    np.testing.assert_array_equal(pretrained.held_out, labelled)


def test_spaces_without_a_fusion_head_have_nothing_for_the_joint_head(features, run):
    projected = project(table(run), run)
    found = columns_of(ENTRIES["joint"], features.spaces, projected, features.rows.labelled)
    assert [columns.space for columns in found] == list(planted.TWO)


def test_logits_of_rows_that_are_not_held_out_count_as_seen():
    said = [np.array([0.5, 0.0, 1.0]), np.array([0.5, 0.5, 0.5])]
    labelled, held_out = np.array([True, True, False]), np.array([True, False, False])
    columns = logit_columns(said, labelled, held_out)
    assert (columns.X.shape, columns.X.dtype, columns.image_width) == ((3, 2), np.float32, 0)
    assert columns.X[0].tolist() == [0, 0] and np.isfinite(columns.X).all()
    assert columns.seen.tolist() == [False, True, False]
    assert columns.held_out.tolist() == [True, False, False]
