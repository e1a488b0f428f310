"""Checkpoints: models are loaded as they were saved, and damaged files are detected."""

from dataclasses import replace

import pytest
import torch

from extract.spaces.checkpoint import (
    Checkpoint,
    holds_checkpoint,
    read_checkpoint,
    save_checkpoint,
    verify_files,
)
from extract.spaces.model_files import load_model, save_model
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import load_backbones
from runtime.errors import UserError
from runtime.files.file_checksums import folder_checksums
from runtime.files.json_files import write_json

CHECKPOINT = Checkpoint(
    "stamp", "interaction", "first", 32, 0, 16, "fp32", {"id": "key"}, 1.5, "cpu", {}
)


@pytest.fixture
def make_model(make_image_encoder, make_text_encoder, fp32):
    def make(fusion="interaction"):
        image, text = make_image_encoder(), make_text_encoder("first")
        head = FUSIONS[fusion](image.dim, text.dim) if fusion else None
        return JointModel(image, text, head, fp32).eval()

    return make


def random_memes():
    ids = torch.randint(5, 60, (4, 16))
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), ids, torch.ones_like(ids)


def test_saved_checkpoint_is_read_unchanged(tmp_path):
    save_checkpoint(CHECKPOINT, tmp_path)
    assert read_checkpoint(tmp_path) == CHECKPOINT


@pytest.mark.parametrize("fusion", FUSIONS)
def test_saved_joint_model_is_loaded_bit_for_bit(make_model, fusion, fp32, tmp_path):
    model = make_model(fusion)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path, replace(CHECKPOINT, fusion=fusion), fp32).eval()
    batch = random_memes()
    with torch.inference_mode():
        assert torch.equal(model(*batch), loaded(*batch))


def test_towers_without_fusion_head_are_loaded_and_enlarge_pictures_as_before(
    make_model, fp32, tmp_path
):
    model = make_model(None)
    model.image.min_size = 48
    save_model(model, tmp_path)
    loaded = load_model(
        tmp_path, replace(CHECKPOINT, fusion=None, least_image_size=48), fp32
    ).eval()
    pixels, ids, mask = random_memes()
    with torch.inference_mode():
        assert torch.equal(model.embed_image(pixels), loaded.embed_image(pixels))
        assert torch.equal(model.embed_text(ids, mask), loaded.embed_text(ids, mask))
    assert loaded.fusion is None
    assert not (tmp_path / "fusion.safetensors").exists()


def test_saving_does_not_change_the_model(make_model, tmp_path):
    model = make_model()
    batch = random_memes()
    with torch.inference_mode():
        before = model(*batch)
        save_model(model, tmp_path)
        assert torch.equal(model(*batch), before)


def test_folder_is_complete_only_with_a_checkpoint_of_the_same_extraction(make_model, tmp_path):
    save_model(make_model(), tmp_path)
    assert not holds_checkpoint(tmp_path, "stamp")
    save_checkpoint(CHECKPOINT, tmp_path)
    assert holds_checkpoint(tmp_path, "stamp")
    assert not holds_checkpoint(tmp_path, "another stamp")


def test_missing_checkpoint_is_an_error_that_names_the_command_to_run(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint\.json is missing.*extract"):
        read_checkpoint(tmp_path)


def test_unknown_key_is_rejected(tmp_path):
    values = {**CHECKPOINT.__dict__, "image_sise": 64}
    write_json(tmp_path / "checkpoint.json", values)
    with pytest.raises(UserError, match='Did you mean "image_size"'):
        read_checkpoint(tmp_path)


def test_saved_towers_can_be_loaded_as_pretrained_weights(make_model, tmp_path):
    model = make_model()
    save_model(model, tmp_path)
    found = load_backbones("hub", str(tmp_path / "image"), str(tmp_path / "text"), "first")
    assert torch.equal(found.image.backbone.conv_stem.weight, model.image.backbone.conv_stem.weight)
    assert found.text.dim == model.text.dim


def test_changed_or_missing_file_is_named(make_model, tmp_path):
    save_model(make_model(), tmp_path)
    (tmp_path / "embeddings.h5").write_bytes(b"not needed to embed memes")
    checkpoint = replace(CHECKPOINT, files=folder_checksums(tmp_path, "embeddings.h5"))
    verify_files(tmp_path, checkpoint)
    assert {"fusion.safetensors", "text/tokenizer.json"} <= checkpoint.files.keys()
    assert "embeddings.h5" not in checkpoint.files
    for name in checkpoint.files:
        path = tmp_path / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(UserError, match=rf"{name} is damaged .*Delete .* extract"):
            verify_files(tmp_path, checkpoint)
        path.unlink()
        with pytest.raises(UserError, match=rf"{name} is missing.*Delete .* extract"):
            verify_files(tmp_path, checkpoint)
        path.write_bytes(content)
