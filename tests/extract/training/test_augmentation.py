"""Augmentation: random crops that leave the inputs, shared by all epochs, unchanged."""

import pytest
import torch

from extract.training.augmentation import augment as augment_with


@pytest.fixture
def augment():
    """f(pixels, seed) -> augmented pixels; without a seed, different ones with every call."""
    rng = torch.Generator()
    return lambda pixels, seed=None: augment_with(pixels, rng.manual_seed(seed) if seed else rng)


def batch(count=6, size=32):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def test_shape_and_dtype_are_unchanged(augment):
    augmented = augment(batch())
    assert (augmented.shape, augmented.dtype) == ((6, 3, 32, 32), torch.uint8)


def test_augmentation_is_random_and_determined_by_the_seed(augment):
    pixels = batch()
    first, same_seed, other_seed = (augment(pixels, seed) for seed in (1, 1, 2))
    assert torch.equal(first, same_seed)
    assert not torch.equal(first, other_seed)


def test_inputs_are_not_changed_in_place(augment):
    pixels = batch()
    before = pixels.clone()
    for _ in range(5):
        augment(pixels)
    assert torch.equal(pixels, before)


def test_no_picture_is_mirrored(augment):
    pixels = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    pixels[..., :16] = 255
    for _ in range(10):
        assert (augment(pixels)[:, 0, 16, 0] == 255).all()


def test_crop_has_at_least_half_of_the_picture(augment):
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    pixels[:, :, 16:48, 16:48] = 255
    for _ in range(50):
        bright = (augment(pixels)[0, 0] > 127).float().mean().item()
        assert 0.2 < bright < 0.5
