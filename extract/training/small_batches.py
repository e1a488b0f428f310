"""Batches smaller than a full one, where they give the same bits.

A library may add numbers in another order for another batch size, or for another number of threads.
Whether it does depends on the shapes and the machine, not on the memes, so it is tried once for
each shape.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from extract.training.out_of_memory import split_if_out_of_memory

Compute = Callable[[np.ndarray], Tensor]
"""compute(items (B,)), which returns embeddings (B, dim)"""

SameBits = dict[str, frozenset[int] | None]
"""By shape of an item: the sizes of small batches that give the bits of a full one; None if they
were not tried yet, as one full batch takes less time than trying."""


def embed_few(
    compute: Compute, items: np.ndarray, size: int, shape: str, same_bits: SameBits
) -> Tensor:
    """Embed up to `size` items, float (B, dim), with the bits that a full batch gives.

    The batch is padded to a power of two, and computed by one thread, as it has too little work for
    more. The first batch of a shape is full. With the second one, all smaller sizes are tried, and
    the result is kept in `same_bits`.
    """
    small = 1 << (len(items) - 1).bit_length()
    if small < size and small in (same_bits.get(shape) or ()):
        with _one_thread():
            return split_if_out_of_memory(compute, pad_batch(items, small))
    full = split_if_out_of_memory(compute, pad_batch(items, size))
    if small < size and shape in same_bits and same_bits[shape] is None:
        same_bits[shape] = _sizes_with_bits_of(full, compute, items, size)
    same_bits.setdefault(shape, None)
    return full


def _sizes_with_bits_of(
    full: Tensor, compute: Compute, items: np.ndarray, size: int
) -> frozenset[int]:
    """Return the powers of two below `size` for which a batch gives the bits of the full one."""
    sizes = [1 << power for power in range((size - 1).bit_length())]
    padded = pad_batch(items, size)
    with _one_thread():
        few = {small: split_if_out_of_memory(compute, padded[:small]) for small in sizes}
    return frozenset(small for small, found in few.items() if full[:small].equal(found))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one OpenMP thread in this thread; in others, nothing changes."""
    torch.get_num_threads()  # lets torch set this thread's number, which it does once
    with _openmp().limit(limits=1):
        yield


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


def pad_batch(items: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last item until the batch is full."""
    return np.pad(items, [(0, size - len(items))] + [(0, 0)] * (items.ndim - 1), mode="edge")
