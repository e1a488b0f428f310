"""Programs timed by `benchmarks.stage_one`: the baseline, ours and the bare backbones.

Each program returns its seconds, without loading the backbones, and the number of memes processed.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import DistilBertConfig, DistilBertModel

from benchmarks.seed_model import (
    DEVICE,
    BaselineModel,
    MemeDataset,
    make_loader,
    make_optimizer,
    predict,
)
from benchmarks.seed_model import train_epoch as train_baseline_epoch
from extract.config import ExtractConfig
from extract.data.batches import Inputs, training_batches
from extract.data.load_data import LoadedData, load_data
from extract.folds.fold_assignment import Plan
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from extract.towers.device import Machine, choose_machine
from extract.towers.encoders import ImageEncoder, TextEncoder
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones, load_backbones
from extract.training.embedding import embed
from extract.training.training_loop import finetune
from features.space_files import writing_space

BATCH = 32


@dataclass(frozen=True)
class Workload:
    """Memes and settings for the programs."""

    name: str
    data: Path
    matched: bool
    backbones: Backbones
    machine: Machine
    folder: Path
    """Folder for the embeddings."""

    @property
    def config(self) -> ExtractConfig:
        """Our default settings with one epoch."""
        return ExtractConfig(data=str(self.data), epochs=1, batch_size=BATCH)


def make_workload(data: Path, matched: bool, folder: Path, weights: str = "bundled") -> Workload:
    """Workload on the table in `data`. `matched` gives all programs the same settings."""
    machine = choose_machine(
        "auto", "fp32" if matched and not torch.cuda.is_available() else "auto"
    )
    backbones = load_backbones("bundled", None, None, ExtractConfig().text_pooling)
    if weights == "random":
        backbones = _random_backbones(backbones)
    name = "matched" if matched else "as run"
    return Workload(name, data, matched, backbones, machine, folder)


def _random_backbones(bundled: Backbones) -> Backbones:
    """EfficientNet-B0 and DistilBERT with random weights; speed does not depend on the weights."""
    image = timm.create_model("efficientnet_b0", num_classes=0)
    config = DistilBertConfig(vocab_size=bundled.text.tokenizer.get_vocab_size())
    text = DistilBertModel._from_config(config, attn_implementation="sdpa")
    text = TextEncoder(text, bundled.text.tokenizer, bundled.text.pooling)
    return replace(bundled, image=ImageEncoder(image), text=text)


def baseline_training(workload: Workload) -> tuple[float, int]:
    """Train the baseline for one epoch on the train rows."""
    model, loader = _baseline(workload, train=True)
    optimizer, scaler = make_optimizer(model, 5e-5, 1e-3)
    start = time.perf_counter()
    train_baseline_epoch(model, loader, optimizer, scaler, "seed")
    return _seconds_since(start), len(loader.dataset)


def baseline_embedding(workload: Workload) -> tuple[float, int]:
    """Predict all rows with the baseline."""
    model, loader = _baseline(workload, train=False)
    start = time.perf_counter()
    predict(model, loader)
    return _seconds_since(start), len(loader.dataset)


def our_training(workload: Workload) -> tuple[float, int]:
    """Read, decode, tokenise and train for one epoch on the train rows."""
    model, config = _ours(workload), workload.config
    start = time.perf_counter()
    loaded = _load_data(workload)
    rows = loaded.table.rows
    fitted = (rows["split"] == "train").to_numpy()
    # An epoch ends with the loss on the evaluated rows, of which one is the minimum.
    one = np.arange(len(rows)) == np.flatnonzero(fitted)[0]
    plan = Plan(fitted, np.zeros(len(rows), dtype=bool), one)
    finetune(model, loaded.inputs, rows["label"].to_numpy(), plan, config, seed=0)
    return _seconds_since(start), int(fitted.sum())


def our_embedding(workload: Workload) -> tuple[float, int]:
    """Read, decode, tokenise and embed all rows, and write them to HDF5."""
    model = _ours(workload)
    start = time.perf_counter()
    loaded = _load_data(workload)
    count, dims = len(loaded.table), (model.image.dim, model.text.dim)
    with writing_space(workload.folder / "space.h5", count, *dims, joint=True) as space:
        embed(model, loaded.inputs, space.write, space.read)
    return _seconds_since(start), count


def bare_training(workload: Workload) -> tuple[float, int]:
    """Forward and backward pass of both backbones on our training batches."""
    model, inputs, rows = (
        _ours(workload).train(),
        _load_data(workload).inputs,
        _train_rows(workload),
    )
    lengths = inputs.captions.lengths()[inputs.captions.index]
    parts = training_batches(rows, lengths, BATCH, np.random.default_rng(0))
    batches = [_to_device(inputs, part) for part in parts]
    start = time.perf_counter()
    for pixels, tokens in batches:
        (model.embed_image(pixels).sum() + model.embed_text(*tokens).sum()).backward()
        model.zero_grad(set_to_none=True)
    return _seconds_since(start), len(rows)


@torch.inference_mode()
def bare_embedding(workload: Workload) -> tuple[float, int]:
    """Forward pass of both backbones on distinct pictures and captions, in our batches."""
    model, inputs = _ours(workload).eval(), _load_data(workload).inputs
    batches: dict[str, list] = {"image": [], "text": []}

    def record(name: str, embedding: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def wrapped(*batch: Tensor) -> Tensor:
            batches[name].append([part.to(DEVICE) for part in batch])
            return embedding(*batch)

        return wrapped

    recorder = copy.copy(model)
    recorder.embed_image = record("image", model.embed_image)
    recorder.embed_text = record("text", model.embed_text)
    recorder.fusion = None
    embed(recorder, inputs, lambda *_: None, lambda *_: np.zeros(0))
    start = time.perf_counter()
    for pixels in batches["image"]:
        model.embed_image(*pixels)
    for tokens in batches["text"]:
        model.embed_text(*tokens)
    return _seconds_since(start), len(inputs)


PROGRAMS = {
    "training": {"seed": baseline_training, "ours": our_training, "bare": bare_training},
    "embedding": {"seed": baseline_embedding, "ours": our_embedding, "bare": bare_embedding},
}


def flops_per_meme(workload: Workload, training: bool) -> float:
    """Floating-point operations per meme, counted by torch on one of our training batches.

    The backward pass is assumed to take twice the operations of the forward pass, because torch's
    counter treats the backward pass of a depthwise convolution as that of a full convolution.
    """
    model, inputs = _ours(workload), _load_data(workload).inputs
    rows = _train_rows(workload)[:BATCH]
    pixels, tokens = _to_device(inputs, rows)
    with FlopCounterMode(display=False) as counter:
        model.embed_image(pixels)
        model.embed_text(*tokens)
    return counter.get_total_flops() / len(rows) * (3 if training else 1)


def matmul_gflops(dtype: torch.dtype, size: int = 2048) -> float:
    """GFLOP/s of a square matrix product, best of five."""
    a = torch.randn(size, size, device=DEVICE).to(dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        seconds.append(_seconds_since(start))
    return 2 * size**3 / min(seconds) / 1e9


def _baseline(workload: Workload, train: bool) -> tuple[BaselineModel, torch.utils.data.DataLoader]:
    rows = _rows(workload)
    rows = rows[rows["split"] == "train"] if train else rows
    settings = (
        (workload.config.image_size, 128, "longest") if workload.matched else (224, 128, "fixed")
    )
    backbones = copy.deepcopy(workload.backbones)
    loader = make_loader(MemeDataset(rows, backbones, *settings), BATCH, 0, train)
    return BaselineModel(backbones).to(DEVICE), loader


def _ours(workload: Workload) -> JointModel:
    both = copy.deepcopy(workload.backbones)
    fusion = FUSIONS[workload.config.fusion](both.image.dim, both.text.dim)
    return JointModel(both.image, both.text, fusion, workload.machine)


def _rows(workload: Workload) -> pd.DataFrame:
    return read_memes(workload.data)[0].rows


def _load_data(workload: Workload) -> LoadedData:
    config, (image, text) = workload.config, (workload.backbones.image, workload.backbones.text)
    reading = read_memes(workload.data, table_options(config))
    size = config.image_size, image.interpolation, config.max_tokens
    return load_data(reading, *size, text, config.on_bad_rows)


def _train_rows(workload: Workload) -> np.ndarray:
    return np.flatnonzero(_rows(workload)["split"] == "train")


def _to_device(inputs: Inputs, rows: np.ndarray) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    tokens = tuple(part.to(DEVICE) for part in inputs.tokens(rows))
    return inputs.pixels(rows).to(DEVICE), tokens


def _seconds_since(start: float) -> float:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
