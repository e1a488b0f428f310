"""One training epoch: per batch, forward and backward pass, gradient clipping and optimizer step.

A batch that does not fit into the device's memory is split into micro-batches, whose gradients are
accumulated.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from extract.data.batches import Inputs
from extract.training import distributed
from extract.training.augmentation import augment
from extract.training.resume_training import TrainingState
from runtime.errors import UserError
from runtime.progress import log, progress

MAX_GRADIENT_NORM = 1.0


class Trainer(NamedTuple):
    """What an optimizer step works with."""

    wrapped_model: nn.Module
    """The model, wrapped in DistributedDataParallel if there are several ranks."""
    state: TrainingState
    augmentation_rng: torch.Generator


def train_epoch(
    trainer: Trainer, inputs: Inputs, targets: Tensor, batches: list[np.ndarray], epoch: int
) -> float:
    """Train on all batches once; return the mean loss per meme."""
    trainer.state.model.train()
    total, count = torch.zeros((), device=targets.device), sum(map(len, batches))
    with progress(f"epoch {epoch}", count, "memes") as advance:
        for rows in batches:
            total += _train_batch(trainer, inputs, targets, rows)
            advance(len(rows))
    return distributed.all_reduce_sum(total).item() / count


def _train_batch(trainer: Trainer, inputs: Inputs, targets: Tensor, rows: np.ndarray) -> Tensor:
    """Take one optimizer step on the batch `rows`; return the summed loss of this rank's rows."""
    of_this_rank = slice(distributed.rank(), None, distributed.world())
    # Every rank augments the whole batch, so that results do not depend on the number of ranks.
    pixels = augment(inputs.pixels(rows), trainer.augmentation_rng)[of_this_rank]
    state = trainer.state
    while True:
        state.optimizer.zero_grad(set_to_none=True)
        try:
            loss = _backward(
                trainer,
                inputs,
                targets,
                rows[of_this_rank],
                pixels,
                distributed.world() / len(rows),
            )
            break
        except torch.OutOfMemoryError as error:
            cause = str(error)
        # Outside `except`, because the error keeps the failed pass's tensors in memory.
        _double_micro_batches(state, len(pixels), cause)
    state.scaler.unscale_(state.optimizer)
    nn.utils.clip_grad_norm_(state.model.parameters(), MAX_GRADIENT_NORM)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if not state.plateau:
        state.scheduler.step()
    return loss


def _backward(
    trainer: Trainer,
    inputs: Inputs,
    targets: Tensor,
    rows: np.ndarray,
    pixels: Tensor,
    loss_scale: float,
) -> Tensor:
    """Accumulate the gradients of `loss_scale` times the summed loss; return the summed loss."""
    total = torch.zeros((), device=targets.device)
    count = min(trainer.state.micro_batches, len(rows))
    for positions in np.array_split(np.arange(len(rows)), count):
        part = rows[positions]
        logits = trainer.wrapped_model(
            pixels[positions[0] : positions[-1] + 1], *inputs.tokens(part)
        )
        loss = binary_cross_entropy_with_logits(logits, targets[part], reduction="sum")
        # DistributedDataParallel averages gradients over ranks. `loss_scale` makes the result the
        # gradient of the whole batch's mean loss.
        trainer.state.scaler.scale(loss * loss_scale).backward()
        total += loss.detach()
    return total


def _double_micro_batches(state: TrainingState, count: int, cause: str) -> None:
    """Split batches further, down to single memes."""
    if distributed.world() > 1 or count < 2 * state.micro_batches:
        raise UserError(
            f"the device has not enough memory for a batch in {state.micro_batches} micro-batches "
            f"({cause}). Lower --batch-size, or choose another --device."
        )
    state.micro_batches *= 2
    torch.cuda.empty_cache()
    log(
        "not enough memory for a whole batch: from now on, each is split into "
        f"{state.micro_batches} micro-batches"
    )
