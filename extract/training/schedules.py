"""Learning-rate schedules: cosine with warm-up, stepped per batch, or by the monitored loss."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from transformers import get_cosine_schedule_with_warmup

from extract.config import PLATEAU

WARM_UP = 0.1
"""Share of the steps in which the learning rates rise from zero."""

PLATEAU_FACTOR = 0.3


def create_scheduler(schedule: str, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return the scheduler of a training of `steps` optimizer steps.

    cosine is stepped after each optimizer step; plateau after each epoch, with the monitored loss.
    """
    if schedule == PLATEAU:
        return ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=0)
    return get_cosine_schedule_with_warmup(optimizer, round(WARM_UP * steps), steps)
