"""New memes -> embeddings in every space of a run, without the training data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from extract.data.bad_rows import Problem
from extract.data.batches import Inputs
from extract.data.columns import Columns
from extract.data.layouts import is_file
from extract.data.load_data import Prepared, prepare
from extract.data.meme_table import MemeTable
from extract.data.read_memes import Reading, read_unlabelled
from extract.data.text_cells import read_caption, unreadable
from extract.spaces.checkpoint import (
    Checkpoint,
    load_model,
    read_checkpoint,
    space_remedy,
    verify_files,
)
from extract.spaces.embedding import embed
from extract.spaces.lexical import LEXICAL
from extract.spaces.ngrams import LexicalEncoder, load_lexical
from extract.spaces.pretrained import PRETRAINED
from extract.towers.device import Machine, choose_machine
from extract.towers.encoders import load_image_encoder, load_text_encoder
from extract.towers.joint_model import JointModel
from features.feature_table import FeatureTable, Rows, Space
from runtime.errors import UserError, quoted
from runtime.progress import log

AT_ONCE = 8192
"""Memes embedded before they are scored."""


def read_one(image: Path, caption: str) -> Reading:
    """A table of one meme, whose id is the name of its picture file."""
    words, unsaid = read_caption(caption.strip())
    if fault := unreadable(str(image)):
        raise UserError(f"--image {quoted(str(image))}: {fault}. Rename it.")
    row = {
        "id": image.stem,
        "split": "test",
        "image": str(image) if is_file(image) else "",
        "caption": words,
        "label": np.int8(-1),
        "order": np.int32(0),
        "file": "--image",
        "line": 1,
    }
    problems = []
    if not row["image"]:
        problems.append(Problem("--image", 1, f"{image} is not a file", 0, "image"))
    if unsaid:
        problems.append(Problem("--text", 1, unsaid, 0, "caption"))
    return MemeTable(pd.DataFrame([row]), "id", "label"), problems, []


def read_many(data: Path, backbones: Path) -> Reading:
    """A table of memes to score, by the columns that the run's own data was read by."""
    columns = read_checkpoint(_spaces(backbones)[0]).columns
    return read_unlabelled(data, Columns(**columns))


def embed_memes(
    reading: Reading, backbones: Path, device: str, on_bad_rows: str
) -> Iterator[FeatureTable]:
    """Embed what was read in each space of the folder `backbones`, as `extract` embedded its rows.

    Yields AT_ONCE rows after another, so that memory does not grow with their number. Raises
    UserError for bad rows (unless blanked), missing backbones or a device that is not there.
    """
    folders = _spaces(backbones)
    checkpoint = read_checkpoint(folders[0])
    for folder in folders:
        own = read_checkpoint(folder)
        if own.stamp != checkpoint.stamp:
            other = f"is of another extraction than {folders[0]}"
            raise UserError(f"{folder} {other}. {space_remedy(folder)}")
        verify_files(folder, own)
    machine = _machine(device, checkpoint.precision)
    torch.use_deterministic_algorithms(True, warn_only=True)
    prepared = _prepare(reading, folders[0], checkpoint, on_bad_rows)
    loaded = [_load(folder, machine) for folder in folders]
    rows, captions = _rows(prepared), prepared.captions()
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, min(start + AT_ONCE, len(rows)))
        inputs = prepared.inputs.part(part).moved(machine.device)
        spaces: dict[str, Space] = {}
        for folder, model in zip(folders, loaded, strict=True):
            if isinstance(model, LexicalEncoder):
                image = spaces[PRETRAINED].image
                arrays = {"image": image, "text": model.embed(captions[part])}
            else:
                arrays = _embed(model, inputs)
            spaces[folder.name] = _space(folder.name, arrays)
        some = Rows(**{name: values[part] for name, values in vars(rows).items()})
        yield FeatureTable(some, list(spaces.values()), {"stamp": checkpoint.stamp})


def _load(folder: Path, machine: Machine) -> JointModel | LexicalEncoder:
    if folder.name == LEXICAL:
        return load_lexical(folder)
    return load_model(folder, read_checkpoint(folder), machine)


def _spaces(backbones: Path) -> list[Path]:
    """The folders of a run's spaces, in the order in which features.h5 holds them."""
    tuned = backbones.glob("space_[0-9]*")
    folders = sorted(tuned, key=lambda folder: int(folder.name.removeprefix("space_")))
    folders += [backbones / name for name in (PRETRAINED, LEXICAL) if (backbones / name).is_dir()]
    if not folders:
        raise UserError(f"{backbones} has no backbones. Run first: python pipeline.py extract")
    if backbones / LEXICAL in folders and backbones / PRETRAINED not in folders:
        raise UserError(
            f"{backbones / PRETRAINED} is missing, and {LEXICAL} needs it. "
            "Run: python pipeline.py extract"
        )
    return folders


def _prepare(reading: Reading, folder: Path, checkpoint: Checkpoint, on_bad_rows: str) -> Prepared:
    """Decode and tokenise as all spaces of the run do."""
    image = load_image_encoder(folder / "image")
    text = load_text_encoder(folder / "text", checkpoint.text_pooling)
    size, limit = checkpoint.image_size, checkpoint.max_tokens
    return prepare(reading, size, image.interpolation, limit, text, on_bad_rows)


def _embed(model: JointModel, inputs: Inputs) -> dict[str, np.ndarray]:
    count = len(inputs)
    arrays = {
        "image": np.empty((count, model.image.dim), np.float32),
        "text": np.empty((count, model.text.dim), np.float32),
    }
    if model.fusion is not None:
        arrays["joint_logit"] = np.empty(count, np.float32)

    def write(name: str, rows: np.ndarray, values: np.ndarray) -> None:
        arrays[name][rows] = values

    embed(model, inputs, write, lambda name, rows: arrays[name][rows])
    return arrays


def _space(name: str, arrays: dict[str, np.ndarray]) -> Space:
    nothing = np.zeros(len(arrays["image"]), dtype=bool)
    joint = {"joint_logit": None} if "joint_logit" not in arrays else {}
    return Space(name, seen=nothing, monitored=nothing, attributes={}, **arrays, **joint)


def _machine(device: str, precision: str) -> Machine:
    """The run's own precision, unless it is fp16 and this device is a CPU."""
    machine = choose_machine(device, "auto")
    if precision == "fp16" and machine.device.type == "cpu":
        log("the run used fp16, which a CPU has not: probabilities will differ slightly")
        return machine
    return choose_machine(device, precision)


def _rows(prepared: Prepared) -> Rows:
    rows = prepared.table.rows
    count = len(rows)
    return Rows(
        id=rows["id"].to_numpy(dtype=object),
        split=rows["split"].to_numpy(dtype=object),
        label=rows["label"].to_numpy(),
        group=np.arange(count, dtype=np.int32),
        fold=np.full(count, -1, dtype=np.int16),
        order=rows["order"].to_numpy(),
    )
