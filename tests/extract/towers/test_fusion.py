"""Fusion heads, and the interaction that only some of them can learn."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from extract.config import ExtractConfig
from extract.towers.fusion import FUSIONS


def xor(count):
    """Return two embeddings, each of class 0 or 1; the label is whether the classes differ."""
    classes = torch.randint(0, 2, (2, count))
    image, text = (c[:, None] * 2.0 - 1 + 0.3 * torch.randn(count, 6) for c in classes)
    return image, text, (classes[0] ^ classes[1]).float()


def accuracy_on_xor(name):
    model = FUSIONS[name](6, 6)
    image, text, label = xor(256)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(model(image, text), label).backward()
        optimizer.step()
    image, text, label = xor(1000)
    with torch.no_grad():
        return ((model.eval()(image, text) > 0) == label.bool()).float().mean().item()


@pytest.mark.parametrize("name", FUSIONS)
def test_batch_gives_one_logit_per_meme_even_a_batch_of_one(name):
    model = FUSIONS[name](5, 3)
    for count in (4, 1):
        logits = model(torch.randn(count, 5), torch.randn(count, 3))
        assert logits.shape == (count,)
        assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", FUSIONS)
def test_gradients_reach_both_towers_and_every_weight(name):
    model = FUSIONS[name](5, 3)
    for parameter in model.parameters():
        # What is nonlinear starts at zero, and lets gradients through after the first step.
        torch.nn.init.normal_(parameter)
    image, text = (torch.randn(4, width, requires_grad=True) for width in (5, 3))
    model(image, text).sum().backward()
    for tensor in (image, text, *model.parameters()):
        assert tensor.grad.abs().sum() > 0


@pytest.mark.parametrize("name", FUSIONS)
def test_logit_does_not_depend_on_the_rest_of_the_batch(name):
    model = FUSIONS[name](5, 3).eval()
    image, text = torch.randn(4, 5), torch.randn(4, 3)
    assert torch.allclose(model(image, text)[2:], model(image[2:], text[2:]), atol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "interaction"])
def test_caption_that_is_mean_only_with_a_certain_picture_can_be_learnt(name):
    assert accuracy_on_xor(name) > 0.95


def test_linear_fusion_cannot_learn_it():
    assert accuracy_on_xor("linear") < 0.65


def test_fusion_flag_offers_every_fusion_head():
    choices = ExtractConfig.__dataclass_fields__["fusion"].metadata["choices"]
    assert set(choices) == set(FUSIONS)
