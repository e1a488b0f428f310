"""Prediction, stage one: embed new memes in every space of a run, without the training data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from extract.data.load_data import LoadedData, load_data
from extract.spaces.checkpoint import Checkpoint, read_checkpoint, space_remedy, verify_files
from extract.spaces.fine_tuned import PREFIX
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.space_kind import Embedder
from extract.spaces.space_registry import in_order, kind_of
from extract.tables.columns import Columns
from extract.tables.files.folder_walk import is_file
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.text_cells import read_caption, unreadable
from extract.tables.read_memes import ReadResult, read_unlabelled
from extract.tables.table_options import TableOptions
from extract.towers.device import Machine, choose_machine
from extract.towers.encoders import TextEncoder, load_image_encoder, load_text_encoder
from features.feature_table import FeatureTable, Rows, Space
from runtime.errors import UserError, quoted
from runtime.progress import log


def read_single_meme(image: Path | None, caption: str | None) -> ReadResult:
    """Return a table of one meme, without a picture or a caption if it is None.

    Its id is the name of the picture file, without suffix.
    """
    text, caption_fault = read_caption((caption or "").strip())
    if fault := unreadable(str(image)):
        raise UserError(f"--image {quoted(str(image))}: {fault}. Rename it.")
    row = {
        "id": image.stem if image else "text",
        "split": "test",
        "image": str(image) if image and is_file(image) else "",
        "caption": text,
        "label": np.int8(-1),
        "order": np.int32(0),
        "file": "--image",
        "line": 1,
    }
    problems = []
    if image and not row["image"]:
        problems.append(Problem("--image", 1, f"{image} is not a file", 0, "image"))
    if caption_fault:
        problems.append(Problem("--text", 1, caption_fault, 0, "caption"))
    return MemeTable(pd.DataFrame([row]), "id", "label"), problems, []


def read_new_memes(data: Path, backbones: Path, unpack_to: Path | None = None) -> ReadResult:
    """Read a table of memes to score, with the column names of the run's training data.

    Pictures whose bytes the table holds are written to the folder `unpack_to`.
    """
    columns = read_checkpoint(space_folders(backbones)[0]).columns
    return read_unlabelled(data, TableOptions(columns=Columns(**columns), unpack_to=unpack_to))


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
        for name, embed in self.embedders.items():
            spaces[name] = _space(name, embed(memes, spaces), self.origins[name])
        return FeatureTable(_rows(memes), list(spaces.values()), {"stamp": self.checkpoint.stamp})


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
    return LoadedSpaces(
        first,
        machine,
        {f.name: kind_of(f.name).load(f, made, machine) for f, made in checkpoints.items()},
        {folder.name: made.origins for folder, made in checkpoints.items()},
        load_image_encoder(folders[0] / "image").interpolation,
        load_text_encoder(folders[0] / "text", first.text_pooling),
    )


def space_folders(backbones: Path) -> list[Path]:
    """Return the folders of a run's spaces, in the order of features.h5.

    Raises UserError if there are none.
    """
    names = [folder.name for folder in backbones.glob("*") if not folder.name.startswith(".")]
    folders = [backbones / name for name in in_order(names)]
    if not folders:
        raise UserError(f"{backbones} has no backbones. Run first: python pipeline.py extract")
    if any(not name.startswith(PREFIX) for name in names) and PRETRAINED not in names:
        raise UserError(
            f"{backbones / PRETRAINED} is missing, and the other spaces need it. "
            "Run: python pipeline.py extract"
        )
    return folders


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


def _rows(loaded: LoadedData) -> Rows:
    rows = loaded.table.rows
    count = len(rows)
    return Rows(
        id=rows["id"].to_numpy(dtype=object),
        split=rows["split"].to_numpy(dtype=object),
        label=rows["label"].to_numpy(),
        group=np.arange(count, dtype=np.int32),
        fold=np.full(count, -1, dtype=np.int16),
        order=rows["order"].to_numpy(),
    )
