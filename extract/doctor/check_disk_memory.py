"""Disk and memory: what a run needs, computed, against what there is."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.filesize import decimal
from torch.autograd.graph import saved_tensors_hooks

from extract.data.batches import Inputs
from extract.data.image_decoding import MOST_BYTES
from extract.doctor.check_run_folder import existing
from extract.doctor.cpu_and_memory import available_memory
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.spaces.ngrams import DIM
from extract.towers.joint_model import JointModel

SPARE = 1.25
"""So many times what was computed should be there."""


@dataclass(frozen=True)
class Load:
    """What a run is made of."""

    rows: int
    pictures: int
    """Distinct ones."""
    size: int
    """Their side in pixels."""
    folds: int
    batch_size: int

    @property
    def pixels(self) -> int:
        """Bytes of all pictures."""
        return self.pictures * 3 * self.size**2


def check_disk(run: Path, model: JointModel, load: Load) -> Finding:
    """Room for embeddings and checkpoints, and for pixels that memory is not to hold."""
    # float32 embeddings: every fine-tuned space and the pretrained one has both towers', the
    # lexical one pictures' and its own. Twice, as spaces wait in files of their own until joined.
    spaces, lexical = load.folds + 1, model.image.dim + DIM
    a_row = spaces * (model.image.dim + model.text.dim) + lexical
    embeddings = 2 * 4 * load.rows * a_row
    # Each space but the lexical one keeps its towers; runs/NAME/backbones links to the same files.
    checkpoints = spaces * _bytes(model)
    needs = Counter({existing(run): embeddings + checkpoints})
    if load.pixels > MOST_BYTES:
        needs[Path(tempfile.gettempdir())] += load.pixels
    parts = f"{decimal(embeddings)} of embeddings, which lie there twice while they are joined; "
    parts += f"{decimal(checkpoints)} of checkpoints"
    if load.pixels > MOST_BYTES:
        parts += f"; {decimal(load.pixels)} of pixels in {tempfile.gettempdir()}"
    state, places = OK, []
    for folder, need in _by_device(needs).items():
        free = shutil.disk_usage(folder).free
        places.append(f"{decimal(need)} needed, {decimal(free)} free at {folder}")
        state = _worse(state, need, free)
    advice = "make room, start the command on another disk, or name fewer --folds"
    return Finding(state, "disk", "\n".join([*places, parts]), "" if state == OK else advice)


def check_memory(model: JointModel, inputs: Inputs, load: Load) -> Finding:
    """Room for the model, its optimiser, a step's activations and the pixels.

    `inputs` hold four memes or more with captions as long as any.
    """
    every = _bytes(model)
    trained = sum(p.numel() * 4 for p in model.parameters() if p.requires_grad)
    # The model as downloaded, in training, its moving average and its best epoch; of what is
    # trained, gradients and AdamW's two moments.
    towers = 4 * every + 3 * trained
    activations = activation_bytes(model, inputs, load.batch_size)
    step = f"{decimal(towers)} of weights and optimiser, {decimal(activations)} of activations"
    pixels = load.pixels if load.pixels <= MOST_BYTES else 0
    device = model.machine.device
    found, state = [], OK
    if device.type == "cuda":
        need, free = towers + activations, torch.cuda.mem_get_info(device)[0]
        found.append(f"{decimal(need)} needed, {decimal(free)} free on {device}: {step}")
        state = _worse(state, need, free)
        need, parts = pixels + every, f"{decimal(pixels)} of pixels"
    else:
        need, parts = towers + activations + pixels, f"{step}, {decimal(pixels)} of pixels"
    free = available_memory()
    found.append(f"{decimal(need)} needed beside libraries, {decimal(free)} available: {parts}")
    state = _worse(state, need, free)
    advice = "a smaller --batch-size or --image-size, or end other programs"
    return Finding(state, "memory", "\n".join(found), "" if state == OK else advice)


def activation_bytes(model: JointModel, inputs: Inputs, batch_size: int) -> int:
    """What a forward pass keeps for the backward one, reckoned from two memes and from four."""
    two, four = (_kept(model, inputs, count) for count in (2, 4))
    return two + (four - two) * max(0, batch_size - 2) // 2


def _kept(model: JointModel, inputs: Inputs, count: int) -> int:
    rows = range(count)
    sizes: dict[int, int] = {}

    def keep(value: torch.Tensor) -> torch.Tensor:
        sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    model.train()
    with saved_tensors_hooks(keep, lambda value: value):
        # Held until counted: a place in memory that was given back could be counted twice.
        logits = model(inputs.pixels(list(rows)), *inputs.tokens(list(rows)))
    for value in model.parameters():
        sizes.pop(value.untyped_storage().data_ptr(), None)
    del logits
    return sum(sizes.values())


def _bytes(model: JointModel) -> int:
    """Of weights and statistics."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def _by_device(needs: Counter) -> dict[Path, int]:
    """Needs of folders on one file system, added up."""
    first: dict[int, Path] = {}
    together = Counter()
    for folder, need in needs.items():
        together[first.setdefault(folder.stat().st_dev, folder)] += need
    return together


def _worse(state: str, need: int, free: int) -> str:
    if need > free or state == FAIL:
        return FAIL
    return WARNING if SPARE * need > free else state
