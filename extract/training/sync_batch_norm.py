"""Batch normalisation over the whole batch when each rank holds a part of it.

torch.nn.SyncBatchNorm does the same, on GPUs alone. Statistics of a rank's few memes would be poor,
and a run's result would depend on how many processes it was given.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from extract.training.distributed import summed


def share_statistics(model: nn.Module) -> None:
    """Make every batch normalisation of `model` use all ranks' rows in training."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            kind = type(module)
            module.__class__ = type(f"Shared{kind.__name__}", (_Shared, kind), {})


class _Shared:
    """Takes the place of a batch normalisation's forward pass in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        normal = self._normalise(x.float()).to(x.dtype)
        # timm's batch normalisation has an activation in it.
        for name in ("drop", "act"):
            normal = getattr(self, name, nn.Identity())(normal)
        return normal

    def _normalise(self, x: Tensor) -> Tensor:
        over = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = torch.tensor([x.numel() / x.shape[1]], device=x.device)
        total, count = summed(torch.cat([x.sum(over), count])).split([x.shape[1], 1])
        mean = total / count
        variance = summed(((x - mean.view(shape)) ** 2).sum(over)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight / torch.sqrt(variance + self.eps)
        return (x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
