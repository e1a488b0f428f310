"""The joint model in the precisions that a CPU supports."""

import pytest
import torch

from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel

CPU = torch.device("cpu")


@pytest.fixture
def make_model(make_image_encoder, make_text_encoder):
    def make(image_dtype=torch.float32, text_dtype=torch.float32):
        torch.manual_seed(0)
        image, text = make_image_encoder(), make_text_encoder()
        machine = Machine(CPU, image_dtype, text_dtype, image_dtype)
        return JointModel(image, text, FUSIONS["interaction"](image.dim, text.dim), machine)

    return make


@pytest.fixture
def memes():
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    ids, mask = torch.randint(5, 60, (4, 16)), torch.ones(4, 16, dtype=torch.int64)
    mask[1, 5:] = 0
    return pixels, ids, mask


def test_embeddings_and_logits_are_float32_even_if_both_towers_compute_in_bf16(make_model, memes):
    model = make_model(torch.bfloat16, torch.bfloat16).eval()
    pixels, ids, mask = memes
    for value in (model.embed_image(pixels), model.embed_text(ids, mask), model(*memes)):
        assert value.dtype == torch.float32
    exact = make_model().eval()
    assert torch.allclose(model(*memes), exact(*memes), atol=0.2)


def test_each_tower_computes_in_its_own_precision(make_model, memes):
    mixed, exact = make_model(torch.float32, torch.bfloat16).eval(), make_model().eval()
    pixels, ids, mask = memes
    assert torch.equal(mixed.embed_image(pixels), exact.embed_image(pixels))
    assert not torch.equal(mixed.embed_text(ids, mask), exact.embed_text(ids, mask))


def test_image_tower_has_a_separate_precision_for_inference(make_model, memes):
    mixed, exact = make_model(), make_model()
    mixed.machine = Machine(CPU, torch.float32, torch.float32, torch.bfloat16)
    found = []
    for model in (mixed.eval(), exact.eval()):
        with torch.inference_mode():
            embedded = model.embed_image(memes[0])
        found.append((model.embed_image(memes[0]), embedded))
    (trained, embedded), (expected, _) = found
    assert torch.equal(trained, expected)
    assert not torch.equal(embedded, expected)
    assert torch.allclose(embedded, expected, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_weight_of_both_towers(make_model, memes, dtype):
    model = make_model(dtype, dtype).train()
    model(*memes).square().sum().backward()
    without_gradient = [name for name, value in model.named_parameters() if value.grad is None]
    assert without_gradient == []
    for tower in (model.image, model.text):
        assert sum(value.grad.abs().sum() for value in tower.parameters()) > 0
