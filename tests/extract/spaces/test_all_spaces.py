"""The spaces of a run: fine-tuned ones without their fold, and those created without labels."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from extract.data.load_data import load_data
from extract.data.ngrams import fit_lexical
from extract.folds.fold_assignment import plan_space
from extract.run import extract
from extract.spaces import fine_tuned, pretrained, run_setup
from extract.tables.read_memes import read_memes
from extract.towers.device import choose_machine
from extract.towers.encoders import load_text_encoder
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import load_backbones
from extract.training.embedding import embed
from features.hdf5_store import read_features

TUNED = ["space_0", "space_1"]


@pytest.fixture(scope="module")
def features(tiny_run):
    return read_features(tiny_run / "features.h5")


@pytest.fixture(scope="module")
def backbones(tiny_weights):
    """Both towers before any training."""
    return load_backbones("hub", str(tiny_weights / "image"), str(tiny_weights / "text"), "layers")


@pytest.fixture(scope="module")
def loaded(tiny_sample, backbones):
    reading = read_memes(tiny_sample)
    return load_data(reading, 32, backbones.image.interpolation, 32, backbones.text, "stop")


def get_space(features, name):
    return next(space for space in features.spaces if space.name == name)


def splits_a_group(group, parts):
    return any(len(np.unique(parts[group == number])) > 1 for number in np.unique(group))


# Fine-tuned


def test_only_token_embeddings_are_frozen(backbones, tiny_run):
    tuned = load_text_encoder(tiny_run / "backbones/space_0/text", "mean").state_dict()
    for name, before in backbones.text.state_dict().items():
        if before.ndim > 1:
            assert torch.equal(tuned[name], before) is ("word_embeddings" in name), name


def test_fine_tuned_spaces_come_before_those_without_labels(features, tiny_run):
    names = [*TUNED, "pretrained", "lexical"]
    assert [space.name for space in features.spaces] == names
    assert {path.name for path in (tiny_run / "backbones").iterdir()} == set(names)
    with_logits = [space.name for space in features.spaces if space.joint_logit is not None]
    assert with_logits == TUNED


@pytest.mark.parametrize("fold", [0, 1])
def test_space_is_fitted_without_its_fold(features, fold):
    rows, space = features.rows, get_space(features, f"space_{fold}")
    plan = plan_space(rows.label, rows.group, rows.fold, fold, seed=0)
    assert np.array_equal(space.seen, plan.fitted)
    assert not space.monitored.any()
    assert np.array_equal(space.held_out & rows.labelled, rows.fold == fold)
    assert space.seen.sum() > 60


def test_every_labelled_row_is_held_out_in_exactly_one_space_and_test_rows_in_all(features):
    rows = features.rows
    held_out = np.sum([get_space(features, name).held_out for name in TUNED], axis=0)
    assert np.array_equal(held_out, np.where(rows.labelled, 1, 2))
    assert np.array_equal(features.reported, rows.labelled)


def test_no_group_is_split_between_fitted_monitored_and_held_out_rows(features):
    labelled = features.rows.labelled
    for space in features.spaces:
        parts = (space.seen + 2 * space.monitored)[labelled]
        assert not splits_a_group(features.rows.group[labelled], parts), space.name


def test_each_fold_starts_from_the_same_towers_with_another_seed_and_fusion_head(
    fake_training, tiny_config, backbones, tmp_path
):
    extract(replace(tiny_config, seed=3), tmp_path / "run")
    (first, first_seed), (second, second_seed) = fake_training
    assert (first_seed, second_seed) == (3000, 3001)
    for tower in ("image", "text"):
        for name, value in getattr(backbones, tower).state_dict().items():
            assert torch.equal(first[f"{tower}.{name}"], value)
            assert torch.equal(second[f"{tower}.{name}"], value)
    weight = "fusion.nonlinear.image.0.weight"
    assert not torch.equal(first[weight], second[weight])
    assert first["fusion.linear.weight"].any()


def test_runs_with_neighbouring_seeds_share_no_training_seed():
    seeds = [fine_tuned.training_seed(seed, fold) for seed in range(5) for fold in range(20)]
    assert len(set(seeds)) == 100


def test_single_fold_holds_out_val(fake_training, tiny_config, tmp_path):
    features = read_features(extract(replace(tiny_config, folds=1), tmp_path / "run"))
    rows = features.rows
    assert [space.name for space in features.spaces] == ["space_0", "pretrained", "lexical"]
    assert len(fake_training) == 1
    left_out = np.isin(rows.group, rows.group[rows.split == "val"]) & rows.labelled
    assert np.array_equal(features.spaces[0].held_out & rows.labelled, left_out)
    assert np.array_equal(features.reported, left_out)


# Without labels


@pytest.mark.parametrize("name", ["pretrained", "lexical"])
def test_space_without_labels_has_seen_no_row(features, name):
    assert get_space(features, name).held_out.all()


def test_pretrained_space_has_the_embeddings_of_the_downloaded_towers(features, backbones, loaded):
    found = {"image": np.empty((160, 256), "f4"), "text": np.empty((160, 96), "f4")}

    def write(name, rows, values):
        found[name][rows] = values

    image = copy.deepcopy(backbones.image)
    image.min_size = pretrained.PRETRAINED_SIZE
    model = JointModel(image, backbones.text, None, choose_machine("cpu", "auto"))
    embed(model, loaded.inputs, write, lambda name, rows: found[name][rows])
    space = get_space(features, "pretrained")
    assert np.array_equal(space.image, found["image"])
    assert np.array_equal(space.text, found["text"])


def test_pretrained_image_tower_embeds_enlarged_pictures(features, backbones, loaded):
    rows = np.array([0, 100, 159])
    image = backbones.image.eval()
    normalised = (loaded.inputs.pixels(rows).float() - image.mean) / image.std
    with torch.inference_mode():
        wanted = image.backbone(interpolate(normalised, size=48, mode="bicubic", antialias=True))
        small = image.backbone(normalised)
    found = get_space(features, "pretrained").image[rows]
    assert np.abs(found - wanted.numpy()).max() < 0.03 * np.abs(found).max()
    assert np.abs(found - small.numpy()).max() > 0.1 * np.abs(found).max()


def test_fine_tuned_spaces_differ_from_the_pretrained_one_and_from_each_other(features):
    for one, other in ((0, 1), (0, 2), (1, 2)):
        for name in ("image", "text"):
            values = [getattr(features.spaces[index], name) for index in (one, other)]
            assert not np.allclose(*values, atol=1e-4)


def test_lexical_space_has_the_pretrained_image_embeddings(features):
    image, pretrained = (get_space(features, name).image for name in ("lexical", "pretrained"))
    assert np.array_equal(image, pretrained)


def test_lexical_space_is_fitted_on_train_and_val_captions_only(features, loaded):
    captions = loaded.captions()
    labelled = [captions[row] for row in np.flatnonzero(features.rows.labelled)]
    text = get_space(features, "lexical").text
    assert np.array_equal(text, fit_lexical(labelled, seed=0).embed(captions))
    assert not np.array_equal(text, fit_lexical(captions, seed=0).embed(captions))


@pytest.mark.usefixtures("fake_training")
def test_captions_without_common_ngrams_give_no_lexical_space(
    tiny_config, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(run_setup, "fit_lexical", lambda *_: None)
    features = read_features(extract(tiny_config, tmp_path / "run"))
    assert [space.name for space in features.spaces] == [*TUNED, "pretrained"]
    assert not (tmp_path / "run/backbones/lexical").exists()
    assert "no lexical space" in capsys.readouterr().err
