"""Projection: PCA of training rows, saved once per run, and the columns of each head."""

from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.decomposition import PCA

import heads.fitting.head_inputs
from features.hdf5_store import read_features
from heads.fitting.head_inputs import (
    Projected,
    logit_inputs,
    project_spaces,
    read_projections,
    select_columns,
    select_head_inputs,
)
from heads.fitting.pca_projection import COMPONENTS, Projection, fit_projection
from heads.registry import ENTRIES, Entry


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def embeddings(rng):
    """Wide and far from zero, like real embeddings."""
    return [
        (rng.normal(size=(150, w)) @ rng.normal(size=(w, w)) + 5).astype("f4") for w in (90, 20)
    ]


# One space


def test_axes_equal_pca_whatever_the_blocks(embeddings):
    image, text = embeddings
    blocks = [(image[i : i + 40], text[i : i + 40]) for i in range(0, 150, 40)]
    projection = fit_projection(blocks)
    for values, mean, axes in (
        (image, projection.image_mean, projection.image_axes),
        (text, projection.text_mean, projection.text_axes),
    ):
        pca = PCA(axes.shape[1]).fit(values.astype(float))
        np.testing.assert_allclose(mean, pca.mean_)
        assert mean.dtype == axes.dtype == np.float64
        unit = axes / np.linalg.norm(axes, axis=0)
        np.testing.assert_allclose(
            np.abs(unit.T @ pca.components_.T), np.eye(len(unit.T)), atol=1e-4
        )


def test_each_modality_has_at_most_64_components_and_mean_squared_norm_1(embeddings):
    projection = fit_projection([embeddings])
    X, width = projection.apply(*embeddings), projection.image_width
    assert (X.shape, X.dtype, width) == ((150, COMPONENTS + 20), np.float32, COMPONENTS)
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    # All of the text's variance, and most of the image's.
    assert (X[:, width:] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)
    assert 0.9 < (X[:, :width] ** 2).sum(axis=1).mean() < 1


def test_components_are_sorted_by_variance(embeddings):
    projection = fit_projection([embeddings])
    X, width = projection.apply(*embeddings), projection.image_width
    for part in (X[:, :width], X[:, width:]):
        assert (np.diff(part.var(axis=0)) < 0).all()


def test_ratios_of_distances_are_preserved(embeddings):
    text = embeddings[1].astype(float)
    projection = fit_projection([embeddings])
    columns = projection.apply(*embeddings)[:, projection.image_width :]
    before, after = (np.linalg.norm(one[1:] - one[0], axis=1) for one in (text, columns))
    np.testing.assert_allclose(after / before, (after / before)[0], rtol=1e-4)


def test_fewer_rows_than_columns_are_handled(embeddings):
    few = [one[:30] for one in embeddings]
    assert fit_projection([few]).apply(*embeddings).shape == (150, 30 + 20)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_constant_embeddings_are_handled(embeddings):
    blank = np.zeros_like(embeddings[0])
    X = fit_projection([(blank, embeddings[1])]).apply(blank, embeddings[1])
    assert np.isfinite(X).all()


def test_loaded_projection_gives_the_same_bits(embeddings, tmp_path):
    projection = fit_projection([embeddings])
    projection.save(tmp_path / "space_0.npz")
    again = Projection.load(tmp_path / "space_0.npz").apply(*embeddings)
    np.testing.assert_array_equal(again, projection.apply(*embeddings))


def test_projection_does_not_depend_on_the_batch(embeddings):
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
    found = project_spaces(table(run), run)
    assert list(found) == list(planted.ALL_SPACES)
    labelled = features.rows.labelled
    for space in features.spaces:
        projection = fit_projection([(space.image[labelled], space.text[labelled])])
        expected = projection.apply(space.image, space.text)
        np.testing.assert_array_equal(found[space.name].X, expected)
        assert found[space.name].image_width == projection.image_width


def test_test_rows_do_not_move_the_axes(features, run):
    before = project_spaces(table(run), run)
    test = features.rows.split == "test"
    moved = [
        replace(space, image=np.where(test[:, None], 100 * space.image, space.image))
        for space in features.spaces
    ]
    other = replace(features, spaces=moved, attributes={**features.attributes, "stamp": "b"})
    planted.write(run / "features.h5", other)
    after = project_spaces(table(run), run)
    for name, columns in before.items():
        np.testing.assert_array_equal(after[name].X[~test], columns.X[~test])
        assert (after[name].X[test] != columns.X[test]).any()


def test_columns_are_computed_once_per_run(run, monkeypatch):
    before = project_spaces(table(run), run)
    monkeypatch.setattr(heads.fitting.head_inputs, "fit_projection", None)
    for name, columns in project_spaces(table(run), run).items():
        np.testing.assert_array_equal(columns.X, before[name].X)


def test_columns_of_other_features_are_not_used(run):
    before = project_spaces(table(run), run)
    planted.write(run / "features.h5", planted.table(count=90, seed=1, stamp="b"))
    after = project_spaces(table(run), run)
    assert all((after[name].X != columns.X).any() for name, columns in before.items())


def test_interrupted_projection_is_computed_again(features, run, monkeypatch):
    project_spaces(table(run), run)
    before = read_projections(run)
    other = planted.table(count=90, seed=1, stamp="b")
    planted.write(run / "features.h5", other)
    with monkeypatch.context() as patch:
        patch.setattr(Projection, "apply", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            project_spaces(table(run), run)
    # Restore the first features; some of their saved axes have been overwritten.
    planted.write(run / "features.h5", features)
    project_spaces(table(run), run)
    for name, axes in read_projections(run).items():
        np.testing.assert_array_equal(axes.image_axes, before[name].image_axes)


# Inputs of heads


def test_select_columns_returns_the_columns_of_the_view(features):
    tuned, _, pretrained, _ = features.spaces
    projected = Projected(np.arange(12.0).reshape(2, 6), 4)
    selected = {
        name: select_columns(Entry("", name), tuned, projected)
        for name in ("both", "image", "text")
    }
    assert selected["both"] == projected
    assert selected["image"].X.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert selected["image"].image_width == 4
    assert selected["text"].X.tolist() == [[4, 5], [10, 11]]
    assert selected["text"].image_width == 0
    joint = select_columns(Entry("", "joint"), tuned, projected)
    np.testing.assert_array_equal(joint.X, tuned.joint_logit[:, None])
    assert select_columns(Entry("", "joint"), pretrained, projected) is None


def test_rows_seen_or_monitored_by_the_backbones_are_not_held_out(features, run):
    labelled = features.rows.labelled
    projected = project_spaces(table(run), run)
    found = select_head_inputs(ENTRIES["linear"], features.spaces, projected, labelled)
    assert [columns.space for columns in found] == list(planted.ALL_SPACES)
    for columns, space in zip(found, features.spaces, strict=True):
        np.testing.assert_array_equal(columns.seen, space.seen)
        np.testing.assert_array_equal(columns.held_out, labelled & ~space.seen & ~space.monitored)
    tuned, pretrained = found[0], found[2]
    assert features.spaces[0].monitored.any() and tuned.seen.any() and tuned.held_out.any()
    np.testing.assert_array_equal(pretrained.held_out, labelled)


def test_spaces_without_a_fusion_head_give_no_inputs_for_the_joint_head(features, run):
    projected = project_spaces(table(run), run)
    found = select_head_inputs(ENTRIES["joint"], features.spaces, projected, features.rows.labelled)
    assert [columns.space for columns in found] == list(planted.TWO_SPACES)


def test_labelled_rows_without_held_out_logits_count_as_seen():
    probabilities = [np.array([0.5, 0.0, 1.0]), np.array([0.5, 0.5, 0.5])]
    labelled, held_out = np.array([True, True, False]), np.array([True, False, False])
    columns = logit_inputs(probabilities, labelled, held_out)
    assert (columns.X.shape, columns.X.dtype, columns.image_width) == ((3, 2), np.float32, 0)
    assert columns.X[0].tolist() == [0, 0] and np.isfinite(columns.X).all()
    assert columns.seen.tolist() == [False, True, False]
    assert columns.held_out.tolist() == [True, False, False]


@pytest.mark.parametrize("shared", [True, False])
def test_columns_of_towers_that_share_coordinates_stay_comparable(rng, shared):
    meaning = rng.normal(size=(500, 90))
    # The same coordinates, of different importance in each modality.
    image, text = (meaning * rng.uniform(0.2, 2.0, 90) for _ in range(2))
    columns = fit_projection([(image, text)], shared).apply(image, text)
    one, other = columns[:, :COMPONENTS], columns[:, COMPONENTS:]
    correlations = [np.corrcoef(one[:, k], other[:, k])[0, 1] for k in range(COMPONENTS)]
    assert np.mean(correlations) > 0.7 if shared else np.mean(correlations) < 0.1


def test_shared_coordinates_have_the_same_axes_in_both_modalities(embeddings):
    image, text = embeddings[0][:, :20], embeddings[1]
    separate = fit_projection([(image, text)])
    shared = fit_projection([(image, text)], shared_coordinates=True)
    assert not np.allclose(separate.image_axes, shared.image_axes)
    both = (shared.image_axes, shared.text_axes)
    np.testing.assert_allclose(*(axes / np.linalg.norm(axes, axis=0) for axes in both))
