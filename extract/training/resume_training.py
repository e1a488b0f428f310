"""Save and load the training state between epochs, so that an interrupted training resumes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from extract.towers.joint_model import JointModel
from extract.training import distributed
from runtime.errors import UserError, raise_if_system_error
from runtime.files.atomic_files import atomic_write
from runtime.files.safetensors_files import load_metadata, load_tensors, save_tensors
from runtime.progress import log

MAX_SAVE_TIME_SHARE = 0.02
"""Maximum share of the training time that is spent on saving the state."""

FIRST_SAVE_SECONDS = 0.5
"""Assumed duration of a save before the first one is measured."""


@dataclass
class TrainingState:
    """Everything that an epoch changes. Random generators are not part of it: each epoch seeds
    them."""

    model: JointModel
    optimizer: AdamW
    scaler: torch.amp.GradScaler
    scheduler: LRScheduler
    history: list[dict[str, float]] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    """With plateau, the weights after the best epoch; else empty."""
    micro_batches: int = 1
    """Number of micro-batches that a batch is split into, if it does not fit into memory whole."""

    @property
    def plateau(self) -> bool:
        """Whether the loss after each epoch decides: on rates, on stopping, on the weights used."""
        return isinstance(self.scheduler, ReduceLROnPlateau)


class StateSaver:
    """Saves the state between epochs, within MAX_SAVE_TIME_SHARE. With path None, never saves."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._save_seconds = FIRST_SAVE_SECONDS
        self._last_saved = time.perf_counter()

    def save_if_due(self, state: TrainingState) -> None:
        """Save the state if enough time has passed since the last save, on rank 0 only."""
        start = time.perf_counter()
        if (
            self._path is None
            or not distributed.first()
            or self._save_seconds > MAX_SAVE_TIME_SHARE * (start - self._last_saved)
        ):
            return
        save_training_state(state, self._path)
        self._last_saved = time.perf_counter()
        self._save_seconds = self._last_saved - start


def save_training_state(state: TrainingState, path: Path) -> None:
    """Write the state to one safetensors file."""
    optimizer = state.optimizer.state_dict()
    tensors = {
        **_add_prefix("model", state.model.state_dict()),
        **_add_prefix("best", state.best_weights),
    }
    for number, moments in optimizer["state"].items():
        tensors |= _add_prefix(f"optimizer.{number}", moments)
    metadata = {
        "groups": optimizer["param_groups"],
        "scaler": state.scaler.state_dict(),
        "scheduler": state.scheduler.state_dict(),
        "history": state.history,
        "parts": state.micro_batches,
    }
    with atomic_write(path) as partial:
        save_tensors(tensors, partial, metadata)


def load_training_state(state: TrainingState, path: Path | None) -> None:
    """Restore on all ranks what `save_training_state` wrote; do nothing if the file is missing.

    Raises UserError if the file is damaged.
    """
    exists = distributed.broadcast_object(path is not None and path.is_file())
    if not exists:
        return
    with _user_error_if_state_damaged(path):
        tensors, metadata = load_tensors(path) if distributed.first() else ({}, {})
    tensors = distributed.broadcast_tensors(tensors, state.model.machine.device)
    metadata = distributed.broadcast_object(metadata)
    state.model.load_state_dict(_select_prefix("model", tensors))
    state.best_weights = _select_prefix("best", tensors)
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    moments = {
        number: {name: _with_memory_format(value, parameter) for name, value in values.items()}
        for number, parameter in enumerate(parameters)
        if (values := _select_prefix(f"optimizer.{number}", tensors))
    }
    state.optimizer.load_state_dict({"state": moments, "param_groups": metadata["groups"]})
    # Empty if the scaler was disabled: only fp16 needs it.
    if metadata["scaler"]:
        state.scaler.load_state_dict(metadata["scaler"])
    state.scheduler.load_state_dict(metadata["scheduler"])
    state.history = metadata["history"]
    # Ranks with different numbers of rows could split them into different numbers of micro-batches.
    state.micro_batches = metadata["parts"] if distributed.world() == 1 else 1
    log(f"{path.stem}: resuming after epoch {len(state.history)}, where it was interrupted")


def epochs_done(path: Path) -> int:
    """Return the number of finished epochs in the state at `path`. Raises UserError if damaged."""
    with _user_error_if_state_damaged(path):
        return len(load_metadata(path)["history"])


@contextmanager
def _user_error_if_state_damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise_if_system_error(path, error)
        raise UserError(
            f"{path}, the saved state of an interrupted training, is damaged ({error}). "
            "Delete it; the training then starts again from its first epoch."
        ) from error


def _add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": v.detach().cpu().contiguous() for name, v in tensors.items()}


def _select_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}


def _with_memory_format(value: Tensor, parameter: Tensor) -> Tensor:
    """Copy `value` in the memory format of its parameter, which the fused optimizer requires."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter).copy_(value)
