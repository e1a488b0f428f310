"""Encoders: loading is strict, saving and loading preserve every bit, pooling is right."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from transformers import DistilBertForMaskedLM

from extract.towers.encoders import (
    ImageEncoder,
    load_image_encoder,
    load_text_encoder,
    save_image_encoder,
    save_text_encoder,
)
from extract.towers.text_encoder import pooled_layers
from runtime.errors import UserError

LOADERS = {
    "image": load_image_encoder,
    "text": lambda folder: load_text_encoder(folder, "mean"),
}


@pytest.fixture
def towers(tmp_path, make_image_encoder, make_text_encoder):
    """A folder with image/ and text/ that a test may damage."""
    (tmp_path / "image").mkdir()
    save_image_encoder(make_image_encoder(), tmp_path / "image")
    save_text_encoder(make_text_encoder(), tmp_path / "text")
    return tmp_path


def pixels(count=3):
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)


def drop_weight(folder, fragment):
    """Drop the first weight whose name contains `fragment`."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights.pop(next(name for name in weights if fragment in name))
    save_file(weights, path, metadata={"format": "pt"})


def same_weights(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# Rejected folders


@pytest.mark.parametrize(
    ("tower", "name"),
    [
        ("image", "config.json"),
        ("image", "model.safetensors"),
        ("text", "config.json"),
        ("text", "model.safetensors"),
        ("text", "tokenizer.json"),
    ],
)
def test_missing_file_is_named_with_the_flag(towers, tower, name):
    (towers / tower / name).unlink()
    with pytest.raises(UserError, match=f"--{tower}-weights.* lacks {name} ") as error:
        LOADERS[tower](towers / tower)
    assert str(towers / tower) in str(error.value)


@pytest.mark.parametrize("tower", LOADERS)
def test_missing_folder_is_named_with_the_flag(tmp_path, tower):
    with pytest.raises(UserError, match=f"--{tower}-weights: .*nowhere is not a folder"):
        LOADERS[tower](tmp_path / "nowhere")


@pytest.mark.parametrize("tower", LOADERS)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"not weights at all"),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b'{"architecture": "no_such_net", "model_type": "no_such_net"}'),
    ],
)
def test_damaged_file_is_a_user_error_that_names_the_folder(towers, tower, name, content):
    (towers / tower / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{tower}.*cannot load"):
        LOADERS[tower](towers / tower)


@pytest.mark.parametrize("tower", LOADERS)
def test_truncated_download_is_a_user_error(towers, tower):
    path = towers / tower / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cannot load"):
        LOADERS[tower](towers / tower)


def test_damaged_tokenizer_is_a_user_error(towers):
    (towers / "text" / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load"):
        load_text_encoder(towers / "text", "mean")


def test_missing_text_weight_is_not_initialised_at_random(towers):
    drop_weight(towers / "text", "layer.1.ffn.lin1.weight")
    with pytest.raises(UserError, match="cannot load"):
        load_text_encoder(towers / "text", "mean")


@pytest.mark.parametrize("classes", [0, 1000], ids=["headless", "with classifier"])
def test_missing_image_weight_is_not_initialised_at_random(tmp_path, classes):
    backbone = timm.create_model("test_efficientnet", num_classes=classes)
    timm.models.save_for_hf(backbone, tmp_path, safe_serialization=True)
    drop_weight(tmp_path, "conv_stem.weight")
    with pytest.raises(UserError, match="cannot load"):
        load_image_encoder(tmp_path)


# Forward pass


def test_normalisation_is_that_of_config_json(towers, make_image_encoder):
    path = towers / "image" / "config.json"
    config = json.loads(path.read_text())
    config["pretrained_cfg"] |= {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    config["pretrained_cfg"]["interpolation"] = "bilinear"
    path.write_text(json.dumps(config))
    encoder = load_image_encoder(towers / "image")
    assert encoder.interpolation == "bilinear"
    encoder.backbone = torch.nn.Identity()
    white = encoder(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))[0, :, 0, 0]
    assert white.tolist() == pytest.approx([0.9 / 0.4, 0.8 / 0.5, 0.7 / 0.6])


@pytest.mark.parametrize(("min_size", "side"), [(0, 32), (24, 32), (32, 32), (48, 48)])
def test_only_pictures_below_the_minimum_size_are_enlarged(make_image_encoder, min_size, side):
    encoder = make_image_encoder()
    batch = pixels()
    normal = (batch.float() - encoder.mean) / encoder.std
    wanted = interpolate(normal, size=side, mode="bicubic", antialias=True)
    encoder.min_size = min_size
    encoder.backbone = torch.nn.Identity()
    assert torch.allclose(encoder(batch), wanted, atol=1e-5)


def test_mean_pooling_ignores_padding(make_text_encoder):
    encoder = make_text_encoder("mean")
    ids = torch.randint(5, 60, (2, 8))
    alone = encoder(ids, torch.ones_like(ids))
    padded, mask = (torch.nn.functional.pad(part, (0, 8)) for part in (ids, torch.ones_like(ids)))
    assert torch.allclose(encoder(padded, mask), alone, atol=1e-6)
    hidden = encoder.backbone(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert torch.allclose(alone, hidden.last_hidden_state.mean(1), atol=1e-6)


def test_first_pooling_returns_token_0(make_text_encoder):
    encoder = make_text_encoder("first")
    ids = torch.randint(5, 60, (2, 8))
    mask = torch.ones_like(ids)
    hidden = encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.equal(encoder(ids, mask), hidden[:, 0])


def test_layers_pooling_joins_means_of_first_middle_and_last_layer(make_text_encoder):
    encoder = make_text_encoder("layers")
    ids = torch.randint(5, 60, (2, 8))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    states = encoder.backbone(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    means = [state[1, :5].mean(0) for state in states.hidden_states]
    embedded = encoder(ids, mask)
    assert embedded.shape == (2, encoder.dim)
    assert torch.allclose(embedded[1], torch.cat(means), atol=1e-6)
    assert torch.equal(states.hidden_states[-1], states.last_hidden_state)


def test_layers_pooling_uses_no_layer_twice():
    assert pooled_layers(6, "layers") == [0, 3, 6]
    assert pooled_layers(1, "layers") == [0, 1]
    assert pooled_layers(6, "mean") == pooled_layers(6, "first") == [6]


# Saving and loading


def test_saved_image_encoder_is_loaded_bit_for_bit(tmp_path, make_image_encoder):
    encoder = make_image_encoder()
    encoder.to(memory_format=torch.channels_last)
    encoder.train()(pixels())
    encoder.eval()
    save_image_encoder(encoder, tmp_path)
    loaded = load_image_encoder(tmp_path).eval()
    assert same_weights(encoder, loaded)
    batch = pixels()
    loaded.to(memory_format=torch.channels_last)
    assert torch.equal(encoder(batch), loaded(batch))
    assert torch.equal(encoder.mean, loaded.mean)
    assert loaded.interpolation == encoder.interpolation


@pytest.mark.parametrize(("pooling", "dim"), [("mean", 32), ("first", 32), ("layers", 96)])
def test_saved_text_encoder_is_loaded_bit_for_bit(tmp_path, make_text_encoder, pooling, dim):
    encoder = make_text_encoder(pooling)
    save_text_encoder(encoder, tmp_path)
    loaded = load_text_encoder(tmp_path, pooling).eval()
    assert same_weights(encoder, loaded)
    ids = torch.randint(5, 60, (2, 8))
    assert torch.equal(encoder(ids, torch.ones_like(ids)), loaded(ids, torch.ones_like(ids)))
    assert loaded.tokenizer.to_str() == encoder.tokenizer.to_str()
    assert (loaded.dim, loaded.max_tokens, loaded.pad_id) == (dim, 64, 0)


def test_classifier_of_a_hub_repository_is_dropped(tmp_path):
    backbone = timm.create_model("test_efficientnet", num_classes=1000).eval()
    timm.models.save_for_hf(backbone, tmp_path, safe_serialization=True)
    encoder = load_image_encoder(tmp_path).eval()
    assert encoder.dim == 256
    backbone.reset_classifier(0)
    batch = pixels()
    assert torch.allclose(encoder(batch), ImageEncoder(backbone).eval()(batch), atol=1e-6)


def test_checkpoint_with_a_language_model_head_gives_the_same_hidden_states(
    tmp_path, make_text_encoder
):
    plain = make_text_encoder()
    full = DistilBertForMaskedLM(plain.backbone.config).eval()
    save_text_encoder(plain, tmp_path)
    full.save_pretrained(tmp_path)
    assert any(name.startswith("distilbert.") for name in load_file(tmp_path / "model.safetensors"))
    encoder = load_text_encoder(tmp_path, "first").eval()
    ids = torch.randint(5, 60, (2, 8))
    mask = torch.ones_like(ids)
    hidden = full.distilbert(input_ids=ids, attention_mask=mask).last_hidden_state
    assert torch.allclose(encoder(ids, mask), hidden[:, 0], atol=1e-6)


def test_weights_saved_in_half_precision_are_trained_in_float32(tmp_path, make_text_encoder):
    encoder = make_text_encoder()
    encoder.backbone.half()
    save_text_encoder(encoder, tmp_path)
    loaded = load_text_encoder(tmp_path, "mean")
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}


# Training


def test_batch_statistics_stay_as_loaded(make_image_encoder):
    encoder = make_image_encoder().train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    assert any("running_mean" in name for name in before)
    encoder(pixels()).sum().backward()
    for name, value in encoder.named_buffers():
        assert torch.equal(value, before[name]), name
    assert encoder.training and encoder.backbone.conv_head.weight.grad is not None
