"""Time a few training steps and one batch of embeddings, and estimate the duration of the run."""

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
from extract.doctor.check_classes_and_folds import duration
from extract.doctor.finding import FAIL, OK, Finding
from extract.folds.fold_assignment import HOLDOUT_PARTS, Plan
from extract.spaces import pretrained
from extract.towers.joint_model import JointModel
from extract.training.embedding import batch_size, embed
from extract.training.training_loop import finetune
from features.feature_table import Rows
from runtime.errors import UserError

TIMED_STEPS = 4
"""Training steps that are timed, in addition to one that includes start and end of a training."""

SLOW_STEP_SECONDS = 2.0
"""If that one takes longer, only one more step is timed."""


def synthetic_inputs(captions: Captions, indices: np.ndarray, image_size: int) -> Inputs:
    """Return inputs with the captions at `indices`, and noise for pictures."""
    count = len(indices)
    shape = (count, 3, image_size, image_size)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    every = np.arange(count)
    pictures = Pictures(noise, np.zeros(count, np.uint64), [str(number) for number in every], every)
    tokens = [captions.tokens[index] for index in indices]
    return Inputs(pictures, replace(captions, tokens=tokens, index=every))


def longest_captions(captions: Captions, count: int) -> np.ndarray:
    """Return the indices of the `count` longest captions; if there are fewer, repeat them."""
    return np.resize(np.argsort(-captions.lengths(), kind="stable"), count)


def check_time(
    model: JointModel,
    frozen: list[JointModel],
    captions: Captions,
    rows: Rows,
    pictures: int,
    config: ExtractConfig,
) -> Finding:
    """Train a few steps and embed a batch, and estimate from that how long a run takes.

    `frozen` are the models of `--frozen`. Changes the weights of `model`.
    """
    try:
        # Hide what finetune logs.
        with contextlib.redirect_stderr(io.StringIO()):
            per_row = _seconds_per_row(model, captions, config)
            size = config.image_size
            tuned = _seconds_per_batch(model, captions, size)
            model.image.min_size = pretrained.PRETRAINED_SIZE
            label_free = _seconds_per_batch(model, captions, size)
            for one in frozen:
                own_size = one.image.input_size if one.image else size
                label_free += _seconds_per_batch(one, captions, own_size)
    except (UserError, RuntimeError) as error:
        found = f"a training step fails: {str(error).splitlines()[0]}"
        advice = "if memory is short, choose a smaller --batch-size; else other --lr-... or "
        advice += "--precision"
        return Finding(FAIL, "training", found, advice)
    training = config.epochs * fitted_rows(rows, config.folds) * per_row
    batches = max(pictures, len(captions.tokens)) / batch_size(model.machine.device)
    embedding = batches * (config.folds * tuned + label_free)
    found = (
        f"about {duration(training + embedding)} at the current speed: "
        f"{duration(training)} of training ({1 / per_row:.0f} memes/s, {config.folds} x "
        f"{config.epochs} epochs), {duration(embedding)} of embedding"
    )
    return Finding(OK, "time", found)


def fitted_rows(rows: Rows, folds: int) -> float:
    """Return the number of rows on which all pairs of backbones together are fitted per epoch."""
    labelled = np.sum(rows.labelled)
    if folds != 1:
        left = labelled * max(folds - 1, 0)
    elif "val" in rows.split:
        left = np.sum(rows.split == "train")
    else:
        left = labelled * (1 - 1 / HOLDOUT_PARTS)
    return float(left)


def _seconds_per_row(model: JointModel, captions: Captions, config: ExtractConfig) -> float:
    """Time training on random captions: the difference between several steps and one."""
    size = config.batch_size
    indices = np.random.default_rng(0).integers(0, len(captions.tokens), (1 + TIMED_STEPS) * size)
    # Warm-up: the first step of a process is slower.
    _seconds_per_epoch(model, captions, indices[:size], config)
    one = _seconds_per_epoch(model, captions, indices[:size], config)
    timed = indices[: 2 * size] if one > SLOW_STEP_SECONDS else indices
    difference = _seconds_per_epoch(model, captions, timed, config) - one
    # On a busy machine the difference can be zero or negative.
    return max(difference, one / TIMED_STEPS) / (len(timed) - size)


def _seconds_per_epoch(
    model: JointModel, captions: Captions, indices: np.ndarray, config: ExtractConfig
) -> float:
    """Time an epoch on the captions at `indices`, with two evaluated rows."""
    evaluated = np.arange(len(indices) + 2) >= len(indices)
    inputs = synthetic_inputs(captions, np.append(indices, indices[:2]), config.image_size)
    label = np.arange(len(inputs)) % 2
    one_epoch = replace(config, epochs=1)
    start = time.perf_counter()
    finetune(model, inputs, label, Plan(~evaluated, evaluated, evaluated), one_epoch, seed=0)
    _synchronise(model)
    return time.perf_counter() - start


def _seconds_per_batch(model: JointModel, captions: Captions, image_size: int) -> float:
    """Time embedding a batch of pictures and as many captions, as far as it has the towers."""
    median = np.argsort(captions.lengths(), kind="stable")[len(captions.tokens) // 2]
    inputs = synthetic_inputs(
        captions, np.full(batch_size(model.machine.device), median), image_size
    )
    towers = JointModel(model.image, model.text, None, model.machine)
    start = time.perf_counter()
    embed(towers, inputs, lambda *_: None, lambda *_: None)
    _synchronise(model)
    return time.perf_counter() - start


def _synchronise(model: JointModel) -> None:
    """Wait until the GPU, if there is one, has finished."""
    if model.machine.device.type == "cuda":
        torch.cuda.synchronize(model.machine.device)
