"""One process, or several that torchrun started, which train one model and share out the memes.

Every rank reads the same data and holds the same weights. The first one writes all files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from runtime.processes import first, rank, world

__all__ = ["agreed", "copied", "first", "gathered", "joined", "rank", "summed", "wait", "world"]

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others: one may write gigabytes meanwhile."""


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Within, the ranks can talk to each other."""
    if world() == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def wait() -> None:
    """Until every rank has come here."""
    if world() > 1:
        dist.barrier()


def agreed(value: Value) -> Value:
    """The first rank's value, JSON-like: on every rank the same."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def copied(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The first rank's tensors by name, on the device of every rank."""
    here: dict[str, Tensor] = {}
    for name, (shape, dtype) in agreed({n: (v.shape, v.dtype) for n, v in tensors.items()}).items():
        here[name] = tensors[name].to(device) if first() else torch.empty(shape, dtype=dtype)
        if world() > 1:
            here[name] = here[name].to(device)
            dist.broadcast(here[name], src=0)
    return here


def gathered(value: Tensor) -> list[Tensor]:
    """Every rank's tensor, all of one shape, in the order of ranks."""
    if world() == 1:
        return [value]
    values = [torch.empty_like(value) for _ in range(world())]
    dist.all_gather(values, value.contiguous())
    return values


def summed(value: Tensor) -> Tensor:
    """Sum over ranks; gradients are summed on the way back."""
    return value if world() == 1 else _Sum.apply(value)


class _Sum(torch.autograd.Function):
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
