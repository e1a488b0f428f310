"""Run inference on a batch; if the device runs out of memory, split the batch in halves."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from runtime.errors import UserError
from runtime.progress import log


def split_if_out_of_memory(compute: Callable[[np.ndarray], Tensor], items: np.ndarray) -> Tensor:
    """Return `compute(items)`. While it runs out of memory, halve the items and concatenate.

    Raises UserError if there is not enough memory for a single item.
    """
    try:
        return compute(items)
    except torch.OutOfMemoryError as error:
        cause = str(error)
    if len(items) == 1:
        raise UserError(
            f"the device has not enough memory for a single meme ({cause}). Choose another "
            "--device."
        )
    half = len(items) // 2
    _log_split_once()
    parts = items[:half], items[half:]
    return torch.cat([split_if_out_of_memory(compute, part) for part in parts])


@cache
def _log_split_once() -> None:
    log("not enough memory for a whole batch: processing memes in smaller batches")
