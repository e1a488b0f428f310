"""A few steps of the real training, and a batch of the real embedding: do they work, how fast?"""

import contextlib
import io
import time
from dataclasses import replace

import numpy as np
import torch

from extract.config import ExtractConfig
from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.doctor.check_labels import duration
from extract.doctor.finding import FAIL, OK, Finding
from extract.duplicates.folds import HOLDOUT_SHARE, MONITOR_SHARE, Plan
from extract.spaces import pretrained
from extract.spaces.embedding import BATCH, embed
from extract.towers.joint_model import JointModel
from extract.training.training_loop import finetune
from features.feature_table import Rows
from runtime.errors import UserError

STEPS = 4
"""Training steps that are timed, beside one that starts and ends a training."""

SLOW = 2.0
"""Seconds of that one from which on a single further step is enough."""


def made_up(captions: Captions, places: np.ndarray, size: int) -> Inputs:
    """Inputs with the captions numbered `places`, beside pictures of noise."""
    count = len(places)
    noise = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    every = np.arange(count)
    pictures = Pictures(noise, np.zeros(count, np.uint64), [str(place) for place in every], every)
    tokens = [captions.tokens[place] for place in places]
    return Inputs(pictures, replace(captions, tokens=tokens, index=every))


def longest(captions: Captions, count: int) -> np.ndarray:
    """Numbers of the `count` longest captions; of fewer, some again."""
    return np.resize(np.argsort(-captions.lengths(), kind="stable"), count)


def check_time(
    model: JointModel, captions: Captions, rows: Rows, pictures: int, config: ExtractConfig
) -> Finding:
    """Train a few steps and embed a batch, and reckon from that how long a run takes.

    Spoils `model`.
    """
    try:
        # What finetune says of its epochs is about noise.
        with contextlib.redirect_stderr(io.StringIO()):
            trained = _seconds_a_row(model, captions, config)
            size = config.image_size
            tuned = _seconds_of_batch(model, captions, size, 0)
            enlarged = _seconds_of_batch(model, captions, size, pretrained.PRETRAINED_SIZE)
    except (UserError, RuntimeError) as error:
        found = f"a training step fails: {str(error).splitlines()[0]}"
        advice = "a smaller --batch-size if memory is short; else other --lr-... or --precision"
        return Finding(FAIL, "training", found, advice)
    training = config.epochs * fitted_rows(rows, config.folds) * trained
    batches = max(pictures, len(captions.tokens)) / BATCH
    embedding = batches * (config.folds * tuned + enlarged)
    found = (
        f"about {duration(training + embedding)} at the speed of now: at most "
        f"{duration(training)} of training ({1 / trained:.0f} memes/s, {config.folds} x up to "
        f"{config.epochs} epochs), {duration(embedding)} of embedding"
    )
    return Finding(OK, "time", found)


def fitted_rows(rows: Rows, folds: int) -> float:
    """Rows that all pairs of backbones together are fitted on in an epoch."""
    labelled = np.sum(rows.labelled)
    if folds > 1:
        left = labelled * (folds - 1)
    elif "val" in rows.split:
        left = np.sum(rows.split == "train")
    else:
        left = labelled * (1 - 1 / HOLDOUT_SHARE)
    return left * (1 - 1 / MONITOR_SHARE)


def _seconds_a_row(model: JointModel, captions: Captions, config: ExtractConfig) -> float:
    """Of training, by captions as they come: what more steps take more than one."""
    size = config.batch_size
    mixed = np.random.default_rng(0).integers(0, len(captions.tokens), (1 + STEPS) * size)
    # The very first step sets up what the others find ready.
    _train(model, captions, mixed[:size], config)
    one = _train(model, captions, mixed[:size], config)
    timed = mixed[: 2 * size] if one > SLOW else mixed
    more = _train(model, captions, timed, config) - one
    # On a machine that others use, a step can seem to take no time.
    return max(more, one / STEPS) / (len(timed) - size)


def _train(
    model: JointModel, captions: Captions, places: np.ndarray, config: ExtractConfig
) -> float:
    """Seconds that an epoch on these captions takes."""
    monitored = np.arange(len(places) + 2) >= len(places)
    inputs = made_up(captions, np.append(places, places[:2]), config.image_size)
    label = np.arange(len(inputs)) % 2
    once = replace(config, epochs=1)
    start = time.perf_counter()
    finetune(model, inputs, label, Plan(~monitored, monitored), once, seed=0)
    _finish(model)
    return time.perf_counter() - start


def _seconds_of_batch(model: JointModel, captions: Captions, size: int, least_size: int) -> float:
    """Of embedding BATCH pictures, enlarged to `least_size`, and as many captions."""
    model.image.least_size = least_size
    middle = np.argsort(captions.lengths(), kind="stable")[len(captions.tokens) // 2]
    inputs = made_up(captions, np.full(BATCH, middle), size)
    towers = JointModel(model.image, model.text, None, model.machine)
    start = time.perf_counter()
    embed(towers, inputs, lambda *_: None, lambda *_: None)
    _finish(model)
    return time.perf_counter() - start


def _finish(model: JointModel) -> None:
    """Wait until a GPU has done what it was told."""
    if model.machine.device.type == "cuda":
        torch.cuda.synchronize(model.machine.device)
