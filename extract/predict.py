"""Prediction, stage one: embed new memes in every space of a run, without the training data."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.data.load_data import LoadedData, load_data
from extract.spaces.checkpoint import (
    Checkpoint,
    names_of_spaces,
    read_checkpoint,
    space_remedy,
    verify_files,
)
from extract.spaces.fine_tuned import PREFIX
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.space_kind import Embedder
from extract.spaces.space_registry import in_order, kind_of
from extract.tables.read_memes import ReadResult
from extract.towers.device import Machine, choose_machine
from extract.towers.encoders import TextEncoder
from features.feature_table import FeatureTable, Space
from runtime.errors import UserError
from runtime.progress import log

FEW = 2
"""Most memes of which a CPU embeds several spaces at once."""


@dataclass(frozen=True)
class LoadedSpaces:
    """The models of all spaces of a run, loaded once. Threads may share it."""

    checkpoint: Checkpoint
    """Of the first space; all spaces of a run share data settings and stamp."""
    machine: Machine
    embedders: dict[str, Embedder]
    origins: dict[str, dict[str, Any]]
    """By space: the towers of its embeddings."""
    interpolation: str
    text: TextEncoder
    """Its tokenizer is that of the run."""

    def load(self, reading: ReadResult, on_bad_rows: str, read_absent: bool = True) -> LoadedData:
        """Decode and tokenise a table that was read. Raises UserError for bad rows.

        Without `read_absent`, no caption is read off its picture, whatever the run does.
        """
        made = self.checkpoint
        settings = made.image_size, self.interpolation, made.max_tokens, self.text
        return load_data(reading, *settings, on_bad_rows, made.read_captions and read_absent)

    def embed(self, memes: LoadedData) -> FeatureTable:
        """Embed memes in each space, exactly as `extract` does."""
        spaces: dict[str, Space] = {}
        own = [name for name in self.embedders if name.startswith(PREFIX) or name == PRETRAINED]
        if len(memes.table) <= FEW and self.machine.device.type == "cpu":
            # A batch of one is computed by one thread, so each core takes spaces of its own.
            embedded = _workers().map(lambda name: self.embedders[name](memes, {}), own)
        else:
            embedded = (self.embedders[name](memes, {}) for name in own)
        for name, arrays in zip(own, embedded, strict=True):
            spaces[name] = _space(name, arrays, self.origins[name])
        for name in [name for name in self.embedders if name not in spaces]:
            spaces[name] = _space(name, self.embedders[name](memes, spaces), self.origins[name])
        count = len(memes.table)
        rows = memes.rows(np.arange(count, dtype=np.int32), np.full(count, -1, dtype=np.int16))
        return FeatureTable(rows, list(spaces.values()), {"stamp": self.checkpoint.stamp})


def load_spaces(backbones: Path, device: str) -> LoadedSpaces:
    """Load the models in the folder `backbones` of a run.

    Raises UserError for missing or damaged backbones, or a device that does not exist.
    """
    folders = space_folders(backbones)
    checkpoints = {folder: read_checkpoint(folder) for folder in folders}
    first = checkpoints[folders[0]]
    for folder, checkpoint in checkpoints.items():
        if checkpoint.stamp != first.stamp:
            other = f"belongs to another extraction than {folders[0]}"
            raise UserError(f"{folder} {other}. {space_remedy(folder)}")
        verify_files(folder, checkpoint)
    machine = _choose_machine(device, first.precision)
    torch.use_deterministic_algorithms(True, warn_only=True)
    loaded = {f.name: kind_of(f.name).load(f, made, machine) for f, made in checkpoints.items()}
    # Spaces with both towers come first.
    model = loaded[folders[0].name].model
    return LoadedSpaces(
        first,
        machine,
        {name: space.embed for name, space in loaded.items()},
        {folder.name: made.origins for folder, made in checkpoints.items()},
        model.image.interpolation,
        model.text,
    )


def space_folders(backbones: Path) -> list[Path]:
    """Return the folders of a run's spaces, in the order of features.h5.

    Raises UserError if there are none.
    """
    names = names_of_spaces(backbones)
    folders = [backbones / name for name in in_order(names)]
    if any(not name.startswith(PREFIX) for name in names) and PRETRAINED not in names:
        raise UserError(
            f"{backbones / PRETRAINED} is missing, and the other spaces need it. "
            "Run: python pipeline.py extract"
        )
    return folders


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads(), "spaces")


def _space(name: str, arrays: dict[str, np.ndarray], origins: dict[str, Any]) -> Space:
    none = np.zeros(len(arrays["image"]), dtype=bool)
    joint = {"joint_logit": None} if "joint_logit" not in arrays else {}
    return Space(name, seen=none, monitored=none, attributes=origins, **arrays, **joint)


def _choose_machine(device: str, precision: str) -> Machine:
    """Choose the precision of the run, unless it is fp16 and this device is a CPU."""
    machine = choose_machine(device, "auto")
    if precision == "fp16" and machine.device.type == "cpu":
        log("the run used fp16, which a CPU does not support: probabilities will differ slightly")
        return machine
    return choose_machine(device, precision)
