"""The spaces of a run: pairs of backbones fine-tuned without a fold, and two that need no labels.

Each is made by itself, into a folder that holds its embeddings and what it takes to embed a new
meme. The folder is put into place when whole, and a space that is whole is not made again.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.backbones import Backbones
from extract.checkpoint import Checkpoint, holds_checkpoint, save_checkpoint, save_model
from extract.columns import Columns
from extract.config import ExtractConfig
from extract.device import Machine
from extract.embed import embed
from extract.finetune import finetune
from extract.fusion import FUSIONS
from extract.groups import plan_space
from extract.lexical import Lexical, fit_lexical, save_lexical
from extract.model import JointModel
from extract.prepare import Prepared
from features.files import replacing_folder
from features.progress import say
from features.store import read_image, writing_space
from features.table import Rows

PRETRAINED, LEXICAL = "pretrained", "lexical"
PRETRAINED_SIZE = 192
"""Side in pixels to which smaller pictures are enlarged for the pretrained image tower, which
knows pictures of 224."""
EMBEDDINGS = "embeddings.h5"


@dataclass(frozen=True)
class Job:
    """What it takes to make the spaces of a run."""

    config: ExtractConfig
    machine: Machine
    backbones: Backbones
    """As downloaded: only copies of them are trained."""
    prepared: Prepared
    rows: Rows
    stamp: str
    folder: Path
    """Where finished spaces wait for the others."""


def make_spaces(job: Job) -> list[str]:
    """Make what is missing of the run's spaces; returns the names of all, fine-tuned ones first."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    makers: dict[str, Callable[[Path], None] | None] = {
        f"space_{fold}": lambda folder, fold=fold: _fine_tuned(job, fold, folder)
        for fold in range(job.config.folds)
    }
    makers[PRETRAINED] = lambda folder: _pretrained(job, folder)
    lexical = fit_lexical(_labelled_captions(job), job.config.seed)
    if lexical is None:
        say("no lexical space: no three captions share a word")
    else:
        makers[LEXICAL] = lambda folder: _lexical(job, lexical, folder)
    for name, make in makers.items():
        if holds_checkpoint(job.folder / name, job.stamp):
            say(f"{name}: made already")
            continue
        start = time.perf_counter()
        with replacing_folder(job.folder / name) as partial:
            make(partial)
            save_checkpoint(_checkpoint(job, name, time.perf_counter() - start), partial)
        say(f"{name}: made in {time.perf_counter() - start:.0f} s")
    return list(makers)


def _fine_tuned(job: Job, fold: int, folder: Path) -> None:
    """Both towers and a fusion head, trained without one fold."""
    config, rows, backbones = job.config, job.rows, job.backbones
    plan = plan_space(rows.label, rows.group, rows.fold, fold, config.seed)
    say(
        f"space_{fold}: {plan.fitted.sum()} rows fitted, {plan.monitored.sum()} monitored, "
        f"{np.sum(rows.fold == fold)} held out"
    )
    seed = training_seed(config.seed, fold)
    torch.manual_seed(seed)
    fusion = FUSIONS[config.fusion](backbones.image.dim, backbones.text.dim)
    image, text = copy.deepcopy(backbones.image), copy.deepcopy(backbones.text)
    model = JointModel(image, text, fusion, job.machine)
    history = finetune(model, job.prepared.inputs, rows.label, plan, config, seed)
    about = {**_about(job), "fusion": config.fusion, "history": history}
    _dump(job, model, {"seen": plan.fitted, "monitored": plan.monitored}, about, folder)
    save_model(model, folder)


def _pretrained(job: Job, folder: Path) -> None:
    """Both towers as downloaded: no row is seen, at the price of one pass over the memes."""
    image, text = copy.deepcopy(job.backbones.image), copy.deepcopy(job.backbones.text)
    image.least_size = PRETRAINED_SIZE
    model = JointModel(image, text, None, job.machine)
    _dump(job, model, {}, {**_about(job), "least_image_size": PRETRAINED_SIZE}, folder)
    save_model(model, folder)


def _lexical(job: Job, lexical: Lexical, folder: Path) -> None:
    """What the captions' letters say, beside the pretrained image embedding."""
    image = read_image(job.folder / PRETRAINED / EMBEDDINGS)
    about = {"image": job.backbones.image_origin, "text": {"name": "character n-grams"}}
    dims = image.shape[1], lexical.dim
    with writing_space(folder / EMBEDDINGS, len(job.rows), *dims, joint=False) as space:
        every = np.arange(len(job.rows))
        space.write("image", every, image)
        space.write("text", every, lexical.embed(job.prepared.captions()))
        space.describe(about)
    save_lexical(lexical, folder)


def training_seed(seed: int, fold: int) -> int:
    """Runs of neighbouring seeds share no training seed."""
    return 1000 * seed + fold


def _dump(
    job: Job,
    model: JointModel,
    roles: dict[str, np.ndarray],
    about: dict[str, Any],
    folder: Path,
) -> None:
    dims, joint = (model.image.dim, model.text.dim), model.fusion is not None
    with writing_space(folder / EMBEDDINGS, len(job.rows), *dims, joint) as space:
        for name, rows in roles.items():
            space.write(name, np.arange(len(job.rows)), rows)
        embed(model, job.prepared.inputs, space.write, space.read)
        space.describe(about)


def _about(job: Job) -> dict[str, Any]:
    return {
        "image": job.backbones.image_origin,
        "text": job.backbones.text_origin,
        "image_pooling": "global average",
        "text_pooling": job.config.text_pooling,
        "image_size": job.config.image_size,
    }


def _checkpoint(job: Job, name: str, seconds: float) -> Checkpoint:
    shared = ("text_pooling", "image_size", "max_tokens", "precision")
    config = job.config
    return Checkpoint(
        stamp=job.stamp,
        fusion=config.fusion if name.startswith("space_") else None,
        least_image_size=0 if name.startswith("space_") else PRETRAINED_SIZE,
        columns=asdict(columns_named(config)),
        seconds=round(seconds, 1),
        **{key: getattr(config, key) for key in shared},
    )


def columns_named(config: ExtractConfig) -> Columns:
    """The columns that flags name."""
    return Columns(
        config.id_column,
        config.image_column,
        config.text_column,
        config.label_column,
        config.split_column,
    )


def _labelled_captions(job: Job) -> list[str]:
    captions = job.prepared.captions()
    return [captions[row] for row in np.flatnonzero(job.rows.labelled)]
