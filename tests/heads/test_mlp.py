"""Networks that are trained as one stack equal networks that are trained alone."""

import numpy as np
import pytest
import torch
from planted import problem
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from heads.mlp import MlpHead
from heads.networks.mlp_training import HIDDEN, make_module, set_gradients, stack_weights


def test_gradients_equal_those_of_autograd():
    generator = torch.Generator().manual_seed(0)
    modules = [make_module(12, 2.0, generator).double() for _ in range(2)]
    X = torch.randn(2, 40, 12, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 2, (2, 40, 1), generator=generator).double()
    dropout = 2.0 * torch.randint(0, 2, (2, 40, HIDDEN), generator=generator)
    # The second network's last ten rows are padding.
    row_weight = torch.ones(2, 40, 1).double()
    row_weight[1, 30:] = 0
    weights = stack_weights(modules)
    set_gradients(weights, X, y, dropout, row_weight)
    for index, (module, count) in enumerate(zip(modules, (40, 30), strict=True)):
        _, first, _, _, second = module
        logit = second(gelu(first(X[index])) * dropout[index])
        binary_cross_entropy_with_logits(logit[:count], y[index, :count]).backward()
        expected = [value.grad for value in module.parameters()]
        assert len(expected) == 4
        for stacked, gradient in zip(weights, expected, strict=True):
            assert gradient.abs().max() > 0
            torch.testing.assert_close(stacked.grad[index].reshape(gradient.shape), gradient)


@pytest.mark.parametrize("counts", [(300, 300), (300, 290), (300, 200), (300, 260, 257, 256)])
def test_networks_trained_together_equal_those_trained_alone(counts):
    # The last batch of an epoch, or the number of batches, differs between the networks.
    data = [problem("xor", count, seed) for seed, count in enumerate(counts)]
    heads = [MlpHead(6, seed=seed) for seed in range(len(counts))]
    MlpHead.fit_together(heads, data)
    X = problem("xor", 50, 9)[0]
    for seed, (head, rows) in enumerate(zip(heads, data, strict=True)):
        alone = MlpHead(6, seed=seed).fit(*rows).predict_proba(X)
        np.testing.assert_allclose(head.predict_proba(X), alone, rtol=0, atol=1e-5)


def test_numpy_predicts_what_was_trained_in_pytorch():
    module = make_module(12, 2.0, torch.Generator().manual_seed(0)).double().eval()
    X = torch.randn(20, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    head = MlpHead()
    head.weights_ = {name: value.numpy() for name, value in module.state_dict().items()}
    expected = torch.sigmoid(module(X)[:, 0]).detach().numpy()
    np.testing.assert_allclose(head.predict_proba(X.numpy())[:, 1], expected, rtol=0, atol=1e-12)
