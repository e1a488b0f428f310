"""Batches smaller than a full one, where they give the same bits.

A library may add numbers in another order for another batch size. Whether it does depends on the
shapes and the machine, not on the memes, so it is tried once for each shape.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from extract.training.out_of_memory import split_if_out_of_memory

Compute = Callable[[np.ndarray], Tensor]
"""compute(items (B,)), which returns embeddings (B, dim)"""

SameBits = dict[tuple[str, int], bool]
"""By shape of an item and batch size: whether such a batch gives the bits of a full one."""


def embed_few(
    compute: Compute, items: np.ndarray, size: int, shape: str, same_bits: SameBits
) -> Tensor:
    """Embed up to `size` items, float (B, dim), with the bits that a full batch gives.

    The batch is padded to a power of two. The first one of its shape is also computed full, and the
    comparison is kept in `same_bits`.
    """
    small = 1 << (len(items) - 1).bit_length()
    if small >= size or same_bits.get((shape, small)) is False:
        return split_if_out_of_memory(compute, pad_batch(items, size))
    few = split_if_out_of_memory(compute, pad_batch(items, small))
    if (shape, small) in same_bits:
        return few
    full = split_if_out_of_memory(compute, pad_batch(items, size))
    same_bits[shape, small] = bool(full[:small].equal(few))
    return full


def pad_batch(items: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last item until the batch is full."""
    return np.pad(items, [(0, size - len(items))] + [(0, 0)] * (items.ndim - 1), mode="edge")
