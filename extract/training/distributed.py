"""Collective operations for distributed training: one process, or several started by torchrun.

The processes (ranks) train one model and divide the memes among them. Every rank reads the same
data and holds the same weights. Only the main process (rank 0) writes files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from runtime.processes import first, rank, world

__all__ = [
    "all_gather",
    "all_reduce_sum",
    "barrier",
    "broadcast_object",
    "broadcast_tensors",
    "first",
    "process_group",
    "rank",
    "world",
]

Value = TypeVar("Value")

TIMEOUT = timedelta(hours=2)
"""How long a rank waits for the others. Rank 0 may write gigabytes in the meantime."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Let the ranks communicate inside this context."""
    if world() == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield
        # A rank that leaves while another still works can leave that one waiting.
        dist.barrier()
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait until every rank has called this."""
    if world() > 1:
        dist.barrier()


def broadcast_object(value: Value) -> Value:
    """Return rank 0's value on every rank. It must be JSON-like."""
    if world() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def broadcast_tensors(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return rank 0's tensors, by name, on the device of every rank."""
    received: dict[str, Tensor] = {}
    shapes = broadcast_object({name: (v.shape, v.dtype) for name, v in tensors.items()})
    for name, (shape, dtype) in shapes.items():
        received[name] = tensors[name].to(device) if first() else torch.empty(shape, dtype=dtype)
        if world() > 1:
            received[name] = received[name].to(device)
            dist.broadcast(received[name], src=0)
    return received


def all_gather(value: Tensor) -> list[Tensor]:
    """Return every rank's tensor, in the order of ranks. All must have the same shape."""
    if world() == 1:
        return [value]
    values = [torch.empty_like(value) for _ in range(world())]
    dist.all_gather(values, value.contiguous())
    return values


def all_reduce_sum(value: Tensor) -> Tensor:
    """Return the sum over ranks. Its backward pass sums the gradients over ranks, too."""
    return value if world() == 1 else _AllReduceSum.apply(value)


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
