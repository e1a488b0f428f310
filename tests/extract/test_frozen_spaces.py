"""Spaces of models that are not fine-tuned: added to a run, used by heads, embedded again."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
from test_extract_predict import assert_same_bits, embed
from transformers import CLIPConfig, CLIPModel, MPNetConfig, MPNetModel

from extract.doctor.doctor import run_checks
from extract.frozen_sources import parse_frozen
from extract.run import extract
from extract.spaces import dump_embeddings
from extract.status import steps_of_stage_one
from extract.tables.read_memes import read_unlabelled
from features.hdf5_store import read_features, read_space_names
from heads.config import FitConfig, SubmitConfig
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.fitting.head_inputs import inputs_by_kind, project_spaces
from heads.predict import load_scorer
from heads.registry import HEADS
from heads.run import fit_heads, submit
from runtime.errors import UserError

pytestmark = pytest.mark.usefixtures("quick_heads")
SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory, make_tokenizer):
    """A folder with clip/, mpnet/ and vit/, as their libraries save them."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = make_tokenizer()
    words = {"vocab_size": tokenizer.get_vocab_size(), "num_attention_heads": 2, **SMALL}
    text = {"max_position_embeddings": 40, "eos_token_id": tokenizer.token_to_id("[SEP]"), **words}
    vision = {"image_size": 48, "patch_size": 16, "num_attention_heads": 2, **SMALL}
    clip = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    for name, model in (("clip", CLIPModel(clip)), ("mpnet", MPNetModel(MPNetConfig(**words)))):
        model.save_pretrained(folder / name)
        tokenizer.save(str(folder / name / "tokenizer.json"))
    vit = timm.create_model("test_vit", num_classes=5)
    timm.models.save_for_hf(vit, folder / "vit", safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def flags(models):
    return [f"clip={models}/clip", f"image={models}/vit", f"text={models}/mpnet"]


NAMES = ["pretrained", "lexical", "clip-clip", "text-mpnet", "image-vit"]


@pytest.fixture(scope="module")
def config(tiny_config, flags):
    return replace(tiny_config, folds=0, frozen=flags)


@pytest.fixture(scope="module")
def frozen_run(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("frozen") / "run"
    extract(config, run)
    return run


@pytest.fixture(scope="module")
def features(frozen_run):
    return read_features(frozen_run / "features.h5")


def space(features, name):
    return next(one for one in features.spaces if one.name == name)


def test_each_model_is_a_space_with_two_modalities(features):
    assert sorted(one.name for one in features.spaces) == sorted(NAMES)
    pretrained = space(features, "pretrained")
    for name, image, text in (("clip-clip", 24, 24), ("text-mpnet", None, 3 * 32)):
        found = space(features, name)
        assert found.image.shape[1] == (image or pretrained.image.shape[1])
        assert found.text.shape[1] == text and not found.seen.any()
    assert np.array_equal(space(features, "text-mpnet").image, pretrained.image)
    assert np.array_equal(space(features, "image-vit").text, pretrained.text)
    assert space(features, "clip-clip").attributes["shared_coordinates"]
    assert not space(features, "image-vit").attributes["shared_coordinates"]


def test_space_added_to_a_finished_run_is_the_same_as_one_made_from_the_start(
    config, frozen_run, flags, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    extract(replace(config, frozen=None), run)
    extract(replace(config, frozen=flags[:1]), run)
    embedded = []
    original = dump_embeddings.embed

    def watch(model, *arguments):
        embedded.append([name for name, tower in model.towers.items() if tower is not None])
        return original(model, *arguments)

    monkeypatch.setattr(dump_embeddings, "embed", watch)
    # The space that the run has is kept without being named again.
    extract(replace(config, frozen=flags[:0:-1]), run)
    assert sorted(embedded) == [["image"], ["text"]]
    for name in ("features.h5", "data.json", "memes.jsonl"):
        if name == "features.h5":
            assert (run / name).read_bytes() == (frozen_run / name).read_bytes()
    for path in (frozen_run / "backbones").rglob("*.*"):
        if path.name != "checkpoint.json":
            other = run / "backbones" / path.relative_to(frozen_run / "backbones")
            assert other.read_bytes() == path.read_bytes()
    embedded.clear()
    extract(replace(config, frozen=None), run)
    assert not embedded


def test_prediction_has_the_same_bits(frozen_run, tiny_sample, features):
    predicted = embed(frozen_run, read_unlabelled(tiny_sample / "test.csv"))
    assert_same_bits(predicted, features, features.rows.split == "test")


def test_heads_use_the_columns_of_each_tower_once_and_score_new_memes(
    frozen_run, features, tiny_sample, tmp_path
):
    run = shutil.copytree(frozen_run, tmp_path / "run")
    fit_heads(FitConfig(heads="linear,svm"), run)
    submit(SubmitConfig(ensemble="mean", out=str(tmp_path / "solution.csv")), run)
    predicted = embed(run, read_unlabelled(tiny_sample / "test.csv"))
    probability = load_scorer(run, predicted.attributes["stamp"]).score(predicted)
    expected = read_ensemble_probabilities(run / "heads").final[features.rows.split == "test"]
    assert np.allclose(probability, expected, rtol=0, atol=1e-12)
    # Pictures of pretrained, CLIP and ViT; captions of pretrained, n-grams, CLIP and MPNet.
    projected = project_spaces(features, run)
    inputs = inputs_by_kind(HEADS["svm"], features, projected, features.rows.labelled)
    [joined] = inputs["label-free"]
    widths = {n: (p.image_width, p.X.shape[1] - p.image_width) for n, p in projected.items()}
    images = sum(widths[name][0] for name in ("pretrained", "clip-clip", "image-vit"))
    texts = sum(widths[name][1] for name in ("pretrained", "lexical", "clip-clip", "text-mpnet"))
    assert (joined.image_width, joined.X.shape[1]) == (images, images + texts)


def test_other_model_under_the_same_name_needs_force(config, frozen_run, flags, models, tmp_path):
    run = shutil.copytree(frozen_run, tmp_path / "run")
    other = shutil.copytree(models / "mpnet", tmp_path / "mpnet")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    with pytest.raises(
        UserError, match=r"(?s)the models of text-mpnet: other .*--force.*: text-mpnet\."
    ):
        extract(replace(config, frozen=[f"text={other}"]), run)
    extract(replace(config, frozen=[f"text={other}"]), run, force=True)
    assert sorted(read_space_names(run / "features.h5")) == sorted(NAMES)


def test_missing_model_names_what_is_allowed(config, tmp_path):
    with pytest.raises(UserError, match=r"--frozen: \"nothing\" is not a folder\. Allowed are"):
        extract(replace(config, frozen=["text=nothing"]), tmp_path / "run")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["words=a"], "allowed: text=MODEL"),
        (["text="], "allowed: text=MODEL"),
        (["text=a,pooling=max"], "allowed poolings: auto, checkpoint, mean"),
        (["clip=a,pooling=mean"], "Only text=MODEL takes a pooling"),
        (["text=a/b", "text=c/b"], "would both make the space text-b"),
    ],
)
def test_wrong_flag_is_refused(flags, message):
    with pytest.raises(UserError, match=message):
        parse_frozen(flags)


def test_names_of_spaces():
    flags = ["clip=openai/clip-vit-base-patch32@0123", "text=/a/My Model/", "text=m,pooling=layers"]
    names = [source.name for source in parse_frozen(flags)]
    assert names == ["clip-clip-vit-base-patch32", "text-m-layers", "text-my-model"]
    assert [source.flag for source in parse_frozen(flags)] == [flags[0], flags[2], flags[1]]


def test_doctor_and_status_know_the_models(config, frozen_run, flags, tmp_path):
    found = {finding.name: finding for finding in run_checks(config, tmp_path / "new")}
    assert found["frozen clip-clip"].found.endswith("clip, 24-d and 24-d")
    without = {f.name: f for f in run_checks(replace(config, frozen=None), tmp_path / "new")}
    sizes = [float(f["disk"].found.split()[0]) for f in (found, without)]
    assert sizes[0] > sizes[1] and found["time"].state == "ok"
    broken = run_checks(replace(config, frozen=["text=nothing"]), tmp_path / "new")
    assert {f.name: f.state for f in broken}["frozen text-nothing"] == "FAIL"
    kept = {f.name: f for f in run_checks(replace(config, frozen=flags[:1]), frozen_run)}
    assert kept["features"].state == "ok"
    [step] = [step for step in steps_of_stage_one(frozen_run) if step.name == "features.h5"]
    assert all(f"--frozen {flag}" in step.detail for flag in flags)
