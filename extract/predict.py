"""Prediction, stage one: embed new memes in every space of a run, without the training data."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from extract.data.load_data import LoadedData, load_data
from extract.spaces.checkpoint import Checkpoint, read_checkpoint, space_remedy, verify_files
from extract.spaces.fine_tuned import PREFIX
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.space_registry import in_order, kind_of
from extract.tables.columns import Columns
from extract.tables.layouts import is_file
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem
from extract.tables.read_memes import ReadResult, read_unlabelled
from extract.tables.table_options import TableOptions
from extract.tables.text_cells import read_caption, unreadable
from extract.towers.device import Machine, choose_machine
from extract.towers.encoders import load_image_encoder, load_text_encoder
from features.feature_table import FeatureTable, Rows, Space
from runtime.errors import UserError, quoted
from runtime.progress import log

CHUNK_ROWS = 8192
"""Memes that are embedded, then scored, at a time."""


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


def read_new_memes(data: Path, backbones: Path) -> ReadResult:
    """Read a table of memes to score, with the column names of the run's training data."""
    columns = read_checkpoint(_space_folders(backbones)[0]).columns
    return read_unlabelled(data, TableOptions(columns=Columns(**columns)))


def embed_memes(
    reading: ReadResult, backbones: Path, device: str, on_bad_rows: str
) -> Iterator[tuple[FeatureTable, np.ndarray]]:
    """Embed the memes in each space of the folder `backbones`, exactly as `extract` does.

    Yields a table for every CHUNK_ROWS rows, so that memory does not grow with their number; and
    their captions, object (N,), if the run reads absent ones off the pictures, else (0,). Raises
    UserError for bad rows (unless blanked), missing backbones or a device that does not exist.
    """
    folders = _space_folders(backbones)
    checkpoint = read_checkpoint(folders[0])
    for folder in folders:
        space_checkpoint = read_checkpoint(folder)
        if space_checkpoint.stamp != checkpoint.stamp:
            other = f"belongs to another extraction than {folders[0]}"
            raise UserError(f"{folder} {other}. {space_remedy(folder)}")
        verify_files(folder, space_checkpoint)
    machine = _choose_machine(device, checkpoint.precision)
    torch.use_deterministic_algorithms(True, warn_only=True)
    loaded = _load_data(reading, folders[0], checkpoint, on_bad_rows)
    checkpoints = {folder: read_checkpoint(folder) for folder in folders}
    embedders = [kind_of(f.name).load(f, made, machine) for f, made in checkpoints.items()]
    for start in range(0, len(loaded.table), CHUNK_ROWS):
        memes = loaded.subset(slice(start, start + CHUNK_ROWS))
        spaces: dict[str, Space] = {}
        for (folder, made), embed in zip(checkpoints.items(), embedders, strict=True):
            spaces[folder.name] = _space(folder.name, embed(memes, spaces), made.origins)
        table = FeatureTable(_rows(memes), list(spaces.values()), {"stamp": checkpoint.stamp})
        yield table, np.array(memes.captions() if checkpoint.read_captions else [], dtype=object)


def add_captions(predictions: str, captions: Sequence[str] | np.ndarray) -> str:
    """Add the column `caption` to a CSV of predictions. Without captions, return it as it is."""
    if not len(captions):
        return predictions
    added, text = ["caption", *captions], io.StringIO()
    rows = csv.reader(io.StringIO(predictions))
    lines = ([*row, caption] for row, caption in zip(rows, added, strict=True))
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _space_folders(backbones: Path) -> list[Path]:
    """Return the folders of a run's spaces, in the order of features.h5."""
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


def _load_data(
    reading: ReadResult, folder: Path, checkpoint: Checkpoint, on_bad_rows: str
) -> LoadedData:
    """Decode and tokenise with the settings that all spaces of the run share."""
    image = load_image_encoder(folder / "image")
    text = load_text_encoder(folder / "text", checkpoint.text_pooling)
    size, limit = checkpoint.image_size, checkpoint.max_tokens
    read = checkpoint.read_captions
    return load_data(reading, size, image.interpolation, limit, text, on_bad_rows, read)


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
