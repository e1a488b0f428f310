"""Random views keep what the tower relies on, and the inputs, which are shared by all epochs."""

import pytest
import torch

from extract.training.augmentation import augment as draw_view


@pytest.fixture
def augment():
    """f(pixels, seed) -> a view; without a seed, another one with every call."""
    drawn = torch.Generator()
    return lambda pixels, seed=None: draw_view(pixels, drawn.manual_seed(seed) if seed else drawn)


def batch(count=6, size=32):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def test_a_view_has_the_shape_and_type_of_the_batch(augment):
    view = augment(batch())
    assert (view.shape, view.dtype) == ((6, 3, 32, 32), torch.uint8)


def test_views_differ_and_follow_the_seed(augment):
    pixels = batch()
    views = []
    for seed in (1, 1, 2):
        views.append(augment(pixels, seed))
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_the_inputs_are_not_changed_in_place(augment):
    pixels = batch()
    before = pixels.clone()
    for _ in range(5):
        augment(pixels)
    assert torch.equal(pixels, before)


def test_some_pictures_of_a_batch_are_flipped_and_others_are_not(augment):
    pixels = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    pixels[..., :16] = 255
    leftmost = augment(pixels)[:, 0, 16, 0]
    assert 16 < (leftmost == 255).sum() < 48
    assert set(leftmost.tolist()) == {0, 255}


def test_a_crop_keeps_at_least_half_of_the_picture(augment):
    pixels = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    pixels[:, :, 16:48, 16:48] = 255
    for _ in range(50):
        lit = (augment(pixels)[0, 0] > 127).float().mean().item()
        assert 0.2 < lit < 0.5
