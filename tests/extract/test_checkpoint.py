"""Fine-tuned backbones on disk are the ones that were in memory."""

import json

import pytest
import torch

from extract.backbones import load_backbones
from extract.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from extract.fusion import FUSIONS
from extract.model import JointModel
from features.errors import UserError

CHECKPOINT = Checkpoint("stamp", "interaction", "first", 32, 16, "fp32", {"id": "key"})


@pytest.fixture(params=FUSIONS)
def fusion(request):
    return request.param


@pytest.fixture
def make_model(make_image_encoder, make_text_encoder, fp32):
    def make(fusion="interaction"):
        image, text = make_image_encoder(), make_text_encoder("first")
        return JointModel(image, text, FUSIONS[fusion](image.dim, text.dim), fp32).eval()

    return make


def memes():
    ids = torch.randint(5, 60, (4, 16))
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), ids, torch.ones_like(ids)


def test_a_joint_model_comes_back_bit_for_bit(make_model, fusion, fp32, tmp_path):
    model = make_model(fusion)
    checkpoint = Checkpoint("stamp", fusion, "first", 32, 16, "fp32", {"id": None})
    save_checkpoint(model, checkpoint, tmp_path / "space_0")
    assert read_checkpoint(tmp_path / "space_0") == checkpoint
    again = load_checkpoint(tmp_path / "space_0", checkpoint, fp32).eval()
    batch = memes()
    with torch.inference_mode():
        assert torch.equal(model(*batch), again(*batch))


def test_saving_leaves_the_model_as_it_was(make_model, tmp_path):
    model = make_model()
    batch = memes()
    with torch.inference_mode():
        before = model(*batch)
        save_checkpoint(model, CHECKPOINT, tmp_path / "space_0")
        assert torch.equal(model(*batch), before)


def test_a_newer_checkpoint_takes_the_whole_place_of_the_older(make_model, tmp_path):
    folder = tmp_path / "space_0"
    save_checkpoint(make_model(), CHECKPOINT, folder)
    (folder / "left_over.txt").write_text("old")
    save_checkpoint(make_model(), CHECKPOINT, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["space_0"]
    assert not (folder / "left_over.txt").exists()


def test_a_save_that_breaks_off_leaves_the_older_checkpoint(make_model, tmp_path, monkeypatch):
    model, folder = make_model(), tmp_path / "space_0"
    save_checkpoint(model, CHECKPOINT, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("extract.checkpoint.write_json", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(make_model(), CHECKPOINT, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["space_0"]


def test_an_absent_checkpoint_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint\.json is missing.*extract"):
        read_checkpoint(tmp_path)


def test_an_unknown_key_is_refused(tmp_path):
    values = {**CHECKPOINT.__dict__, "image_sise": 64}
    (tmp_path / "checkpoint.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match='Did you mean "image_size"'):
        read_checkpoint(tmp_path)


def test_the_towers_serve_as_weights_of_another_run(make_model, tmp_path):
    model = make_model()
    save_checkpoint(model, CHECKPOINT, tmp_path)
    found = load_backbones("hub", str(tmp_path / "image"), str(tmp_path / "text"), "first")
    assert torch.equal(found.image.backbone.conv_stem.weight, model.image.backbone.conv_stem.weight)
    assert found.text.dim == model.text.dim
