"""Steps of a training: forward, backward, and what follows from the gradients."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from extract.data.batches import Inputs
from extract.training import distributed
from extract.training.augmentation import augment
from extract.training.training_state import Training
from runtime.errors import UserError
from runtime.progress import log, progress

MAX_GRADIENT_NORM = 1.0


class Step(NamedTuple):
    """What a training step changes, and what it draws its views from."""

    trained: nn.Module
    """The model, or what makes its gradients those of all ranks."""
    training: Training
    views: torch.Generator


def train_epoch(
    step: Step, inputs: Inputs, targets: Tensor, batches: list[np.ndarray], epoch: int
) -> float:
    """One pass over the batches; returns the mean loss a meme."""
    step.training.model.train()
    total, count = torch.zeros((), device=targets.device), sum(map(len, batches))
    with progress(f"epoch {epoch}", count, "memes") as advance:
        for rows in batches:
            total += _train_batch(step, inputs, targets, rows)
            advance(len(rows))
    return distributed.summed(total).item() / count


def _train_batch(step: Step, inputs: Inputs, targets: Tensor, rows: np.ndarray) -> Tensor:
    """One step on the batch of which this rank takes its share; returns the share's summed loss."""
    own = slice(distributed.rank(), None, distributed.world())
    # All ranks draw all views, so that a picture's does not depend on how many ranks there are.
    views = augment(inputs.pixels(rows), step.views)[own]
    training = step.training
    while True:
        training.optimizer.zero_grad(set_to_none=True)
        try:
            loss = _backward(
                step, inputs, targets, rows[own], views, distributed.world() / len(rows)
            )
            break
        except torch.OutOfMemoryError as error:
            fault = str(error)
        # Out here, as the error keeps alive what there was no memory for.
        _halve(training, len(views), fault)
    training.scaler.unscale_(training.optimizer)
    nn.utils.clip_grad_norm_(training.model.parameters(), MAX_GRADIENT_NORM)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    training.average.update_parameters(training.model)
    return loss


def _backward(
    step: Step, inputs: Inputs, targets: Tensor, rows: np.ndarray, views: Tensor, share: float
) -> Tensor:
    """Add up gradients of `share` times the summed loss, which is returned."""
    total = torch.zeros((), device=targets.device)
    parts = max(1, min(step.training.parts, len(rows) // 2))
    for places in np.array_split(np.arange(len(rows)), parts):
        part = rows[places]
        logits = step.trained(views[places[0] : places[-1] + 1], *inputs.tokens(part))
        loss = binary_cross_entropy_with_logits(logits, targets[part], reduction="sum")
        # Gradients are averaged over ranks, and must be those of the whole batch's mean.
        step.training.scaler.scale(loss * share).backward()
        total += loss.detach()
    return total


def _halve(training: Training, count: int, fault: str) -> None:
    """Take batches in twice as many parts; two memes are the least that has batch statistics."""
    if distributed.world() > 1 or count < 4 * training.parts:
        raise UserError(
            f"the device has no memory for a batch in {training.parts} parts ({fault}). "
            "Lower --batch-size, or name another --device."
        )
    training.parts *= 2
    torch.cuda.empty_cache()
    log(f"no memory for a whole batch: each goes through in {training.parts} parts from now on")
