"""Work on a batch in as many parts as the device has memory for."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from runtime.errors import UserError
from runtime.progress import log


def as_memory_allows(work: Callable[[np.ndarray], Tensor], items: np.ndarray) -> Tensor:
    """`work(items)`, in halves and halves of those where the device has no memory for more at once.

    Raises UserError if it has none for a single item.
    """
    try:
        return work(items)
    except torch.OutOfMemoryError as error:
        fault = str(error)
    if len(items) == 1:
        raise UserError(
            f"the device has no memory for a single meme ({fault}). Name another --device."
        )
    half = len(items) // 2
    _say_halved()
    parts = items[:half], items[half:]
    return torch.cat([as_memory_allows(work, part) for part in parts])


@cache
def _say_halved() -> None:
    log("no memory for a whole batch: memes are embedded in halves of it")
