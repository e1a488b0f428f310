"""What `benchmarks.stage_one` times: the seed recipe, ours and the bare backbones, on one work.

Each program returns its seconds, in which the backbones are not loaded, and how many memes that is.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.seed_model import DEVICE, Memes, Recipe, make_loader, make_optimizer, predict
from benchmarks.seed_model import train_epoch as train_seed
from extract.config import ExtractConfig
from extract.data.batches import Inputs, training_batches
from extract.data.load_data import Prepared, prepare
from extract.data.read_memes import read_memes
from extract.duplicates.folds import Plan
from extract.spaces.embedding import embed
from extract.spaces.setup import columns_named
from extract.towers.device import Machine, choose_machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones, load_backbones
from extract.training.training_loop import finetune
from features.hdf5_store import writing_space

BATCH = 32


@dataclass(frozen=True)
class Work:
    """Memes, and the settings that the programs are to take."""

    name: str
    data: Path
    matched: bool
    backbones: Backbones
    machine: Machine
    folder: Path
    """For the embeddings."""

    @property
    def config(self) -> ExtractConfig:
        """Ours, but for the number of epochs."""
        return ExtractConfig(data=str(self.data), epochs=1, batch_size=BATCH)


def read_work(data: Path, matched: bool, folder: Path) -> Work:
    """Work on the table in `data`; `matched` takes away what settings, not engineering, gain."""
    machine = choose_machine(
        "auto", "fp32" if matched and not torch.cuda.is_available() else "auto"
    )
    backbones = load_backbones("bundled", None, None, "mean")
    name = "matched" if matched else "as run"
    return Work(name, data, matched, backbones, machine, folder)


def seed_training(work: Work) -> tuple[float, int]:
    """One epoch of the seed recipe over the train rows."""
    model, loader = _seed(work, train=True)
    optimizer, scaler = make_optimizer(model, 5e-5, 1e-3)
    start = time.perf_counter()
    train_seed(model, loader, optimizer, scaler, "seed")
    return _since(start), len(loader.dataset)


def seed_embedding(work: Work) -> tuple[float, int]:
    """The seed recipe's pass over all rows."""
    model, loader = _seed(work, train=False)
    start = time.perf_counter()
    predict(model, loader)
    return _since(start), len(loader.dataset)


def our_training(work: Work) -> tuple[float, int]:
    """Reading, decoding, tokenising and one epoch over the train rows."""
    model, config = _ours(work), work.config
    start = time.perf_counter()
    prepared = _prepare(work)
    rows = prepared.table.rows
    fitted = (rows["split"] == "train").to_numpy()
    # An epoch ends with the loss on monitored rows: one is the fewest.
    plan = Plan(fitted, np.arange(len(rows)) == np.flatnonzero(fitted)[0])
    finetune(model, prepared.inputs, rows["label"].to_numpy(), plan, config, seed=0)
    return _since(start), int(fitted.sum())


def our_embedding(work: Work) -> tuple[float, int]:
    """Reading, decoding, tokenising and embedding all rows, into HDF5."""
    model = _ours(work)
    start = time.perf_counter()
    prepared = _prepare(work)
    count, dims = len(prepared.table), (model.image.dim, model.text.dim)
    with writing_space(work.folder / "space.h5", count, *dims, joint=True) as space:
        embed(model, prepared.inputs, space.write, space.read)
    return _since(start), count


def bare_training(work: Work) -> tuple[float, int]:
    """Forward and backward of both backbones on our training batches."""
    model, inputs, rows = _ours(work).train(), _prepare(work).inputs, _train_rows(work)
    lengths = inputs.captions.lengths()[inputs.captions.index]
    parts = training_batches(rows, lengths, BATCH, np.random.default_rng(0))
    batches = [_to_device(inputs, part) for part in parts]
    start = time.perf_counter()
    for pixels, tokens in batches:
        (model.embed_image(pixels).sum() + model.embed_text(*tokens).sum()).backward()
        model.zero_grad(set_to_none=True)
    return _since(start), len(rows)


@torch.inference_mode()
def bare_embedding(work: Work) -> tuple[float, int]:
    """Forward of both backbones on the distinct pictures and captions, batched as ours are."""
    model, inputs = _ours(work).eval(), _prepare(work).inputs
    parts: dict[str, list] = {"image": [], "text": []}

    def note(name: str, embedding: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def wrapped(*batch: Tensor) -> Tensor:
            parts[name].append([part.to(DEVICE) for part in batch])
            return embedding(*batch)

        return wrapped

    noted = copy.copy(model)
    noted.embed_image, noted.embed_text = (
        note("image", model.embed_image),
        note("text", model.embed_text),
    )
    noted.fusion = None
    embed(noted, inputs, lambda *_: None, lambda *_: np.zeros(0))
    start = time.perf_counter()
    for pixels in parts["image"]:
        model.embed_image(*pixels)
    for tokens in parts["text"]:
        model.embed_text(*tokens)
    return _since(start), len(inputs)


PROGRAMS = {
    "training": {"seed": seed_training, "ours": our_training, "bare": bare_training},
    "embedding": {"seed": seed_embedding, "ours": our_embedding, "bare": bare_embedding},
}


def operations(work: Work, training: bool) -> float:
    """Floating-point operations a meme, counted on one of our training batches.

    Of the backward pass, they are taken to be twice those of the forward pass: torch's counter
    takes a depthwise convolution's backward pass for a full one.
    """
    model, inputs = _ours(work), _prepare(work).inputs
    rows = _train_rows(work)[:BATCH]
    pixels, tokens = _to_device(inputs, rows)
    with FlopCounterMode(display=False) as counter:
        model.embed_image(pixels)
        model.embed_text(*tokens)
    return counter.get_total_flops() / len(rows) * (3 if training else 1)


def matmul_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """GFLOP/s of a square matrix product, the best of five."""
    a = torch.randn(size, size, device=DEVICE).to(dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        seconds.append(_since(start))
    return 2 * size**3 / min(seconds) / 1e9


def _seed(work: Work, train: bool) -> tuple[Recipe, torch.utils.data.DataLoader]:
    rows = _rows(work)
    rows = rows[rows["split"] == "train"] if train else rows
    settings = (work.config.image_size, 128, "longest") if work.matched else (224, 128, "fixed")
    backbones = copy.deepcopy(work.backbones)
    loader = make_loader(Memes(rows, backbones, *settings), BATCH, 0, train)
    return Recipe(backbones).to(DEVICE), loader


def _ours(work: Work) -> JointModel:
    both = copy.deepcopy(work.backbones)
    fusion = FUSIONS[work.config.fusion](both.image.dim, both.text.dim)
    return JointModel(both.image, both.text, fusion, work.machine)


def _rows(work: Work) -> pd.DataFrame:
    return read_memes(work.data)[0].rows


def _prepare(work: Work) -> Prepared:
    config, (image, text) = work.config, (work.backbones.image, work.backbones.text)
    reading = read_memes(work.data, columns_named(config))
    size = config.image_size, image.interpolation, config.max_tokens
    return prepare(reading, *size, text, config.on_bad_rows)


def _train_rows(work: Work) -> np.ndarray:
    return np.flatnonzero(_rows(work)["split"] == "train")


def _to_device(inputs: Inputs, rows: np.ndarray) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    tokens = tuple(part.to(DEVICE) for part in inputs.tokens(rows))
    return inputs.pixels(rows).to(DEVICE), tokens


def _since(start: float) -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
