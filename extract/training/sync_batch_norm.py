"""Synchronised batch normalisation: statistics of the whole batch, of which each rank has a part.

torch.nn.SyncBatchNorm does the same, but only on GPUs. Statistics of one rank's few memes would be
poor, and the result would depend on the number of processes.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from extract.training.distributed import all_reduce_sum


def synchronise_batch_norm(model: nn.Module) -> None:
    """Make every batch normalisation layer of `model` use all ranks' rows in training."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            kind = type(module)
            module.__class__ = type(f"Sync{kind.__name__}", (_SyncBatchNorm, kind), {})


class _SyncBatchNorm:
    """Replaces the forward pass of a batch normalisation layer in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        normalised = self._normalise(x.float()).to(x.dtype)
        # timm's batch normalisation layers include an activation.
        for name in ("drop", "act"):
            normalised = getattr(self, name, nn.Identity())(normalised)
        return normalised

    def _normalise(self, x: Tensor) -> Tensor:
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = torch.tensor([x.numel() / x.shape[1]], device=x.device)
        sums = all_reduce_sum(torch.cat([x.sum(dims), count]))
        total, count = sums.split([x.shape[1], 1])
        mean = total / count
        variance = all_reduce_sum(((x - mean.view(shape)) ** 2).sum(dims)) / count
        self._update_running_statistics(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight / torch.sqrt(variance + self.eps)
        return (x - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
