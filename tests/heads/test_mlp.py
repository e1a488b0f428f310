"""The handwritten gradients of heads/mlp.py equal autograd's."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from heads.mlp import HIDDEN, make_module, set_gradients


def test_gradients_equal_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    module = make_module(12, 2.0, generator).double()
    X = torch.randn(40, 12, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (40, 1), generator=generator).double()
    dropout = 2.0 * torch.randint(0, 2, (40, HIDDEN), generator=generator)
    scale, *layers = module
    first, _, _, second = layers
    logit = second(gelu(first(scale(X))) * dropout)
    binary_cross_entropy_with_logits(logit, y).backward()
    expected = [value.grad.clone() for value in module.parameters()]
    module.zero_grad()
    set_gradients(layers, scale(X), y, dropout)
    found = [value.grad for value in module.parameters()]
    assert len(found) == 4 and all(grad.abs().max() > 0 for grad in found)
    torch.testing.assert_close(found, expected)
