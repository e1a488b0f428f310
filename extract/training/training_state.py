"""All that changes while a model is trained, and how it outlasts a training that is broken off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from extract.towers.joint_model import JointModel
from extract.training import distributed
from runtime.atomic_files import replacing
from runtime.errors import UserError
from runtime.progress import log
from runtime.safetensors_files import load_about, load_tensors, save_tensors

SHARE = 0.02
"""Of the time of training, what may go into keeping its state."""

EXPECTED = 0.5
"""Seconds that keeping a state is taken to need before it was done once."""


@dataclass
class Training:
    """What an epoch changes. Random generators are seeded by epoch, and so are not among it."""

    model: JointModel
    average: AveragedModel
    optimizer: AdamW
    scaler: torch.amp.GradScaler
    plateau: ReduceLROnPlateau
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch."""
    parts: int = 1
    """In how many parts a batch goes through the model, whose memory may not hold it whole."""


class StateSaver:
    """Writes a training's state between epochs, as often as SHARE allows; never without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._cost = EXPECTED
        self._since = time.perf_counter()

    def keep(self, training: Training) -> None:
        """Write the state, unless that takes too much of the time since it was last written."""
        start = time.perf_counter()
        if (
            self._path is None
            or not distributed.first()
            or self._cost > SHARE * (start - self._since)
        ):
            return
        save_training(training, self._path)
        self._since = time.perf_counter()
        self._cost = self._since - start


def save_training(training: Training, path: Path) -> None:
    """Write everything but the data to one safetensors file."""
    optimizer = training.optimizer.state_dict()
    tensors = {
        **_under("model", training.model.state_dict()),
        **_under("average", training.average.state_dict()),
        **_under("best", training.best),
    }
    for number, state in optimizer["state"].items():
        tensors |= _under(f"optimizer.{number}", state)
    about = {
        "groups": optimizer["param_groups"],
        "scaler": training.scaler.state_dict(),
        "plateau": training.plateau.state_dict(),
        "history": training.history,
        "parts": training.parts,
    }
    with replacing(path) as partial:
        save_tensors(tensors, partial, about)


def load_training(training: Training, path: Path | None) -> None:
    """Put a training back to where `save_training` found it, on all ranks; nothing if there is no
    such file.

    Raises UserError if the file is damaged.
    """
    found = distributed.agreed(path is not None and path.is_file())
    if not found:
        return
    with _damage_named(path):
        tensors, about = load_tensors(path) if distributed.first() else ({}, {})
    tensors, about = (
        distributed.copied(tensors, training.model.machine.device),
        distributed.agreed(about),
    )
    training.model.load_state_dict(_of("model", tensors))
    training.average.load_state_dict(_of("average", tensors))
    training.best = _of("best", tensors)
    parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
    state = {
        number: {name: _laid_out(value, parameter) for name, value in values.items()}
        for number, parameter in enumerate(parameters)
        if (values := _of(f"optimizer.{number}", tensors))
    }
    training.optimizer.load_state_dict({"state": state, "param_groups": about["groups"]})
    # Empty if that device's precision needed none.
    if about["scaler"]:
        training.scaler.load_state_dict(about["scaler"])
    training.plateau.load_state_dict(about["plateau"])
    training.history = about["history"]
    # Ranks whose shares differ by a meme would not cut them alike.
    training.parts = about["parts"] if distributed.world() == 1 else 1
    log(f"{path.stem}: goes on after epoch {len(training.history)}, where it was broken off")


def epochs_done(path: Path) -> int:
    """How many epochs lie behind the state in `path`."""
    with _damage_named(path):
        return len(load_about(path)["history"])


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}, which holds a training that was broken off, is damaged ({error}). "
            "Delete it, and that training starts anew."
        ) from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": v.detach().cpu().contiguous() for name, v in tensors.items()}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """In the parameter's memory format, which a fused optimiser takes for granted."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)
