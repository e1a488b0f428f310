"""Pretrained weights: from the hub's cache at their true sizes, without a network, or folders."""

import hashlib
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from transformers import DistilBertConfig, DistilBertForMaskedLM

from extract.config import IMAGE_COMMIT, TEXT_COMMIT, ExtractConfig
from extract.data.batches import Inputs
from extract.data.tokenisation import tokenise
from extract.folds.fold_assignment import Plan
from extract.towers import hub_download
from extract.towers.fusion import FUSIONS
from extract.towers.hub_download import HUB_FILES
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import HUB_IMAGE, HUB_TEXT, load_backbones
from extract.training.embedding import embed
from extract.training.training_loop import finetune
from features.feature_table import Rows
from features.hdf5_store import join_spaces, read_features
from features.space_files import writing_space
from runtime.errors import UserError

REVISIONS = {HUB_IMAGE: IMAGE_COMMIT, HUB_TEXT: TEXT_COMMIT}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def snapshot(cache, repository):
    """Create a repository's cache folder as the hub client does, at the revision above."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISIONS[repository])
    found = folder / "snapshots" / REVISIONS[repository]
    found.mkdir(parents=True)
    return found


@pytest.fixture
def filled_cache(cache, make_tokenizer):
    """Both repositories, random weights; with classifier and language model head as on the hub."""
    image = timm.create_model("efficientnet_b0.ra_in1k", pretrained=False)
    timm.models.save_for_hf(image, snapshot(cache, HUB_IMAGE), safe_serialization=True)
    text = snapshot(cache, HUB_TEXT)
    DistilBertForMaskedLM(DistilBertConfig()).save_pretrained(text)
    make_tokenizer().save(str(text / "tokenizer.json"))
    return cache


@pytest.fixture
def train_and_embed(make_inputs, fp32, tmp_path):
    """f(backbones) -> the parts whose weights changed in one training step on eight memes, and the
    features that were written."""

    def run(backbones):
        label = np.arange(8) % 2
        captions = [f"meme {n}" for n in range(8)]
        captions = tokenise(captions, backbones.text.tokenizer, 16, backbones.text.pad_id)
        inputs = Inputs(make_inputs(label, size=32).pictures, captions)
        fusion = FUSIONS["interaction"](backbones.image.dim, backbones.text.dim)
        model = JointModel(backbones.image, backbones.text, fusion, fp32)
        before = {name: value.clone() for name, value in model.named_parameters()}
        fitted, none = np.arange(8) < 6, np.zeros(8, dtype=bool)
        plan = Plan(fitted, none, ~fitted)
        finetune(model, inputs, label, plan, ExtractConfig(epochs=1, batch_size=6), seed=0)
        changed = {
            name.split(".")[0]
            for name, value in model.named_parameters()
            if not torch.equal(value, before[name])
        }
        rows = Rows(*(np.arange(8).astype(str).astype(object),) * 2, *(np.zeros(8),) * 4)
        space_path = tmp_path / "space_0.h5"
        with writing_space(space_path, 8, model.image.dim, model.text.dim, joint=True) as space:
            embed(model, inputs, space.write, space.read)
            space.set_attributes({})
        join_spaces(tmp_path / "features.h5", rows, {}, {"space_0": space_path})
        return changed, read_features(tmp_path / "features.h5")

    return run


def test_hub_weights_at_true_size_are_loaded_trained_and_embedded(filled_cache, train_and_embed):
    backbones = load_backbones("hub", None, None, "mean")
    assert (backbones.image.dim, backbones.text.dim) == (1280, 768)
    assert backbones.image_origin == {"name": HUB_IMAGE, "revision": REVISIONS[HUB_IMAGE]}
    assert backbones.text_origin == {"name": HUB_TEXT, "revision": REVISIONS[HUB_TEXT]}
    scaled = [(backbones.image.mean / 255).flatten(), (backbones.image.std / 255).flatten()]
    assert scaled[0].tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert scaled[1].tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert backbones.image.interpolation == "bicubic"
    changed, features = train_and_embed(backbones)
    assert changed == {"image", "text", "fusion"}
    assert features.spaces[0].image.shape == (8, 1280)
    assert features.spaces[0].text.shape == (8, 768)


def test_each_repository_is_pinned_and_only_safetensors_and_text_are_downloaded(
    cache, monkeypatch, tiny_weights
):
    requested = []

    def download(repository, *, revision, allow_patterns, local_files_only):
        assert not local_files_only
        requested.append((repository, revision))
        assert {Path(pattern).suffix for pattern in allow_patterns} <= {
            ".json",
            ".safetensors",
            ".txt",
        }
        tower = "image" if repository == HUB_IMAGE else "text"
        return str(shutil.copytree(tiny_weights / tower, cache / revision))

    monkeypatch.setattr(hub_download, "snapshot_download", download)
    monkeypatch.setattr(hub_download, "_hub_is_known", lambda: True)
    pinned = {"image_revision": "0a" * 20, "text_revision": "1b" * 20}
    found = load_backbones("hub", None, None, "mean", **pinned)
    assert requested == [(HUB_IMAGE, "0a" * 20), (HUB_TEXT, "1b" * 20)]
    load_backbones("hub", None, None, "mean")
    assert requested[2:] == [*REVISIONS.items()]
    assert found.image_origin == {"name": HUB_IMAGE, "revision": "0a" * 20}
    assert found.text_origin == {"name": HUB_TEXT, "revision": "1b" * 20}


def test_main_is_the_newest_cached_revision(filled_cache):
    newest = {"image_revision": "main", "text_revision": "main"}
    backbones = load_backbones("hub", None, None, "mean", **newest)
    assert backbones.image_origin == {"name": HUB_IMAGE, "revision": REVISIONS[HUB_IMAGE]}
    assert backbones.text_origin == {"name": HUB_TEXT, "revision": REVISIONS[HUB_TEXT]}


def test_cached_revision_does_not_replace_another_one(filled_cache):
    load_backbones("hub", None, None, "mean", image_revision=REVISIONS[HUB_IMAGE])
    with pytest.raises(UserError, match=f"{HUB_IMAGE} at revision {'9' * 40} is not in the cache"):
        load_backbones("hub", None, None, "mean", image_revision="9" * 40)


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("weights", ["bundled", "hub"])
def test_revision_of_weights_without_revisions_is_rejected(cache, tiny_weights, tower, weights):
    folders = [str(tiny_weights / t) if weights == "hub" else None for t in ("image", "text")]
    with pytest.raises(UserError, match=f'--{tower}-revision: found "v2", but only weights from'):
        load_backbones(weights, *folders, "mean", **{f"{tower}_revision": "v2"})


def test_error_without_cache_and_network_names_the_alternatives(cache):
    with pytest.raises(UserError) as error:
        load_backbones("hub", None, None, "mean")
    for fragment in (HUB_IMAGE, "network access", "--weights bundled", "--image-weights DIR"):
        assert fragment in str(error.value)


def test_cache_without_the_weights_is_an_error_that_names_them(cache):
    (snapshot(cache, HUB_IMAGE) / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_backbones("hub", None, None, "mean")


def test_local_folders_replace_the_hub(cache, tiny_weights):
    image, text = (str(tiny_weights / tower) for tower in ("image", "text"))
    backbones = load_backbones("hub", image, text, "first")
    assert (backbones.image.dim, backbones.text.dim) == (256, 32)
    assert backbones.text.pooling == "first"
    for origin, folder in ((backbones.image_origin, image), (backbones.text_origin, text)):
        files = [path for name in HUB_FILES for path in sorted(Path(folder).glob(name))]
        content = b"".join(path.read_bytes() for path in files)
        digest = hashlib.sha256(content).hexdigest()
        assert origin == {"name": folder, "revision": f"sha256:{digest}"}


def test_local_folder_for_one_modality_does_not_replace_the_other(cache, tiny_weights):
    with pytest.raises(UserError, match=HUB_TEXT):
        load_backbones("hub", str(tiny_weights / "image"), None, "mean")
