"""What tests change in the source to save time, in every process that they start."""

import os

from extract.spaces import pretrained
from extract.training import embedding

CPU_BATCH_SIZE = embedding.CPU_BATCH_SIZE
"""The number of memes that users embed at once."""


def apply_fast_settings() -> None:
    """Enlarge pictures less for the pretrained tower, embed in large batches, flush nothing.

    Tiny towers take little longer for a batch of 64 than for one of 8. No test cuts the power.
    """
    pretrained.PRETRAINED_SIZE = 48
    embedding.CPU_BATCH_SIZE = 64
    os.fsync = lambda handle: None
