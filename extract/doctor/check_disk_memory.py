"""Check disk and memory: compare what a run will need with what is free."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.filesize import decimal
from torch.autograd.graph import saved_tensors_hooks

from extract.config import PICTURES
from extract.data.batches import Inputs
from extract.data.image_decoding import MAX_PIXEL_MEMORY
from extract.data.ngrams import MAX_DIM
from extract.doctor.check_run_folder import nearest_existing
from extract.doctor.cpu_and_memory import available_memory
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.towers.joint_model import JointModel
from features.embedding_dtypes import FLOAT32

SAFETY_FACTOR = 1.25
"""Warn if less than this many times the computed need is free."""


@dataclass(frozen=True)
class RunSize:
    """The numbers that determine how much disk and memory a run needs."""

    rows: int
    pictures: int
    """Number of distinct pictures."""
    image_size: int
    """Their side in pixels."""
    folds: int
    batch_size: int
    embedding_dtype: str = FLOAT32
    unpacked_bytes: int = 0
    """Bytes of the pictures that tables hold."""

    @property
    def pixel_bytes(self) -> int:
        """Bytes of all decoded pictures."""
        return self.pictures * 3 * self.image_size**2


def check_disk(run: Path, model: JointModel, frozen: list[JointModel], size: RunSize) -> Finding:
    """Check disk space for embeddings, checkpoints and unpacked pictures; and for pixels if memory
    is too small.

    `frozen` are the models of `--frozen`.
    """
    # All fine-tuned spaces and the pretrained one have embeddings of both towers, the lexical space
    # has image and n-gram embeddings. Twice, because each space is a file until all are joined.
    spaces, lexical = size.folds + 1, model.image.dim + MAX_DIM
    # A frozen space has the pretrained columns of the modality that its model lacks.
    columns = sum(
        (one.towers[name] or tower).dim for one in frozen for name, tower in model.towers.items()
    )
    numbers_per_row = spaces * (model.image.dim + model.text.dim) + lexical + columns
    embeddings = 2 * np.dtype(size.embedding_dtype).itemsize * size.rows * numbers_per_row
    # All spaces except the lexical one save their towers. runs/NAME/backbones has hard links to
    # the same files.
    checkpoints = spaces * _model_bytes(model) + sum(map(_model_bytes, frozen))
    unpacked = 0 if (run / PICTURES).is_dir() else size.unpacked_bytes
    needs = Counter({nearest_existing(run): embeddings + checkpoints + unpacked})
    parts = [
        f"{decimal(embeddings)} of embeddings, stored twice while they are joined",
        f"{decimal(checkpoints)} of checkpoints",
    ]
    if unpacked:
        parts.append(f"{decimal(unpacked)} of pictures from the tables")
    if size.pixel_bytes > MAX_PIXEL_MEMORY:
        needs[Path(tempfile.gettempdir())] += size.pixel_bytes
        parts.append(f"{decimal(size.pixel_bytes)} of pixels in {tempfile.gettempdir()}")
    state, lines = OK, []
    for folder, need in _sum_by_device(needs).items():
        free = shutil.disk_usage(folder).free
        lines.append(f"{decimal(need)} needed, {decimal(free)} free at {folder}")
        state = _worse(state, need, free)
    advice = "free some space, start the command on another disk, or choose fewer --folds"
    found = "\n".join([*lines, "; ".join(parts)])
    return Finding(state, "disk", found, "" if state == OK else advice)


def check_memory(model: JointModel, inputs: Inputs, size: RunSize) -> Finding:
    """Check memory for the model, its optimizer, the activations of a training step and the pixels.

    `inputs` must have at least four memes, with captions as long as the longest.
    """
    weights = _model_bytes(model)
    trained = sum(p.numel() * 4 for p in model.parameters() if p.requires_grad)
    # The model as downloaded, in training and, with --schedule plateau, of its best epoch. For
    # trained weights also gradients and AdamW's two moments.
    training = 3 * weights + 3 * trained
    activations = activation_bytes(model, inputs, size.batch_size)
    step = f"{decimal(training)} of weights and optimizer, {decimal(activations)} of activations"
    pixels = size.pixel_bytes if size.pixel_bytes <= MAX_PIXEL_MEMORY else 0
    device = model.machine.device
    lines, state = [], OK
    if device.type == "cuda":
        need, free = training + activations, torch.cuda.mem_get_info(device)[0]
        lines.append(f"{decimal(need)} needed, {decimal(free)} free on {device}: {step}")
        state = _worse(state, need, free)
        need, parts = pixels + weights, f"{decimal(pixels)} of pixels"
    else:
        need, parts = training + activations + pixels, f"{step}, {decimal(pixels)} of pixels"
    free = available_memory()
    lines.append(
        f"{decimal(need)} needed in addition to libraries, {decimal(free)} available: {parts}"
    )
    state = _worse(state, need, free)
    advice = "choose a smaller --batch-size or --image-size, or end other programs"
    return Finding(state, "memory", "\n".join(lines), "" if state == OK else advice)


def activation_bytes(model: JointModel, inputs: Inputs, batch_size: int) -> int:
    """Estimate the bytes that a forward pass saves for the backward pass.

    Extrapolated linearly from batches of two and four memes.
    """
    two, four = (_saved_bytes(model, inputs, count) for count in (2, 4))
    return two + (four - two) * max(0, batch_size - 2) // 2


def _saved_bytes(model: JointModel, inputs: Inputs, count: int) -> int:
    rows = range(count)
    sizes: dict[int, int] = {}

    def record(value: torch.Tensor) -> torch.Tensor:
        sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    model.train()
    with saved_tensors_hooks(record, lambda value: value):
        # `logits` keeps all tensors alive: memory that is freed and used again would have the same
        # address, and be counted once.
        logits = model(inputs.pixels(list(rows)), *inputs.tokens(list(rows)))
    for value in model.parameters():
        sizes.pop(value.untyped_storage().data_ptr(), None)
    del logits
    return sum(sizes.values())


def _model_bytes(model: JointModel) -> int:
    """Return the bytes of all weights and batch statistics."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def _sum_by_device(needs: Counter) -> dict[Path, int]:
    """Add up the needs of folders on the same file system."""
    first_folder: dict[int, Path] = {}
    sums = Counter()
    for folder, need in needs.items():
        sums[first_folder.setdefault(folder.stat().st_dev, folder)] += need
    return sums


def _worse(state: str, need: int, free: int) -> str:
    """Return `state`, or a worse one if `free` is not enough for `need`."""
    if need > free or state == FAIL:
        return FAIL
    return WARNING if SAFETY_FACTOR * need > free else state
