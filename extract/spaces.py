"""The spaces of a run: pairs of backbones fine-tuned without a fold, and two that need no labels.

Each is made by itself, into a folder that holds its embeddings and what it takes to embed a new
meme. The folder is put into place when whole, and a space that is whole is not made again.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract import ranks
from extract.checkpoint import Checkpoint, holds_checkpoint, save_checkpoint, save_model
from extract.config import ExtractConfig
from extract.embed import embed
from extract.encoders import TextEncoder
from extract.finetune import finetune
from extract.fusion import FUSIONS
from extract.groups import plan_space
from extract.job import Job, columns_named
from extract.lexical import Lexical, fit_lexical, save_lexical
from extract.model import JointModel
from features.digests import digests
from features.errors import UserError
from features.files import replacing_folder
from features.progress import say
from features.store import copy_image, read_image_width, writing_space

PRETRAINED, LEXICAL = "pretrained", "lexical"
PRETRAINED_SIZE = 192
"""Side in pixels to which smaller pictures are enlarged for the pretrained image tower, which
knows pictures of 224."""
EMBEDDINGS = "embeddings.h5"
STATE = ".training.safetensors"
"""Beside the folder of a space that is being trained: how far it has come."""


def names_of(config: ExtractConfig, only_folds: str | None = None) -> list[str]:
    """The spaces of a run, fine-tuned ones first. Whoever makes fold 0 makes those without labels.

    With `only_folds`, those of these folds. Raises UserError for what is not a fold.
    """
    if only_folds is None:
        folds = list(range(config.folds))
    else:
        try:
            folds = sorted({int(fold) for fold in only_folds.split(",")})
        except ValueError:
            folds = [-1]
        if folds[0] < 0 or folds[-1] >= config.folds:
            raise UserError(
                f'--only-folds: found "{only_folds}", allowed: numbers from 0 to '
                f"{config.folds - 1}, separated by commas (--folds is {config.folds})"
            )
    tuned = [f"space_{fold}" for fold in folds]
    return [*tuned, PRETRAINED, LEXICAL] if 0 in folds else tuned


def make_spaces(job: Job, names: list[str]) -> list[str]:
    """Make what is missing of the spaces called `names`; returns the names of those there are.

    Captions can be too few for a lexical one.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    makers: dict[str, Callable[[Path], None]] = {
        f"space_{fold}": partial(_fine_tuned, job, fold) for fold in range(job.config.folds)
    }
    makers[PRETRAINED] = partial(_pretrained, job)
    if LEXICAL in names:
        lexical = fit_lexical(_labelled_captions(job), job.config.seed)
        if lexical is None:
            say("no lexical space: no three captions share a word")
            names = [name for name in names if name != LEXICAL]
        else:
            makers[LEXICAL] = partial(_lexical, job, lexical)
    for name in names:
        if ranks.agreed(holds_checkpoint(job.folder / name, job.stamp)):
            say(f"{name}: made already")
        else:
            _make(job, name, makers[name])
    return names


def _make(job: Job, name: str, maker: Callable[[Path | None], None]) -> None:
    """Make one space. The first rank writes it; the others are given no folder."""
    start = time.perf_counter()
    if ranks.first():
        with replacing_folder(job.folder / name) as folder:
            maker(folder)
            checkpoint = _checkpoint(job, name, time.perf_counter() - start, folder)
            save_checkpoint(checkpoint, folder)
        (job.folder / f"{name}{STATE}").unlink(missing_ok=True)
    else:
        maker(None)
    ranks.wait()
    say(f"{name}: made in {time.perf_counter() - start:.0f} s")


def _fine_tuned(job: Job, fold: int, folder: Path | None) -> None:
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
    freeze_words(text)
    model = JointModel(image, text, fusion, job.machine)
    state = job.folder / f"space_{fold}{STATE}"
    history = finetune(model, job.prepared.inputs, rows.label, plan, config, seed, state)
    about = {**_about(job), "fusion": config.fusion, "history": history}
    _dump(job, model, {"seen": plan.fitted, "monitored": plan.monitored}, about, folder)


def freeze_words(text: TextEncoder) -> None:
    """Keep the table of word embeddings as far more text has made it.

    It is half of a small text tower's weights, and so of the optimiser's work; on a set of 3,544
    memes the joint model did as well without training it (held-out AUROC 0.822 against 0.824).
    """
    text.backbone.get_input_embeddings().requires_grad_(False)


def _pretrained(job: Job, folder: Path | None) -> None:
    """Both towers as downloaded: no row is seen, at the price of one pass over the memes."""
    image, text = copy.deepcopy(job.backbones.image), copy.deepcopy(job.backbones.text)
    image.least_size = PRETRAINED_SIZE
    model = JointModel(image, text, None, job.machine)
    _dump(job, model, {}, {**_about(job), "least_image_size": PRETRAINED_SIZE}, folder)


def _lexical(job: Job, lexical: Lexical, folder: Path | None) -> None:
    """What the captions' letters say, beside the pretrained image embedding."""
    if folder is None:
        return
    source = job.folder / PRETRAINED / EMBEDDINGS
    about = {"image": job.backbones.image_origin, "text": {"name": "character n-grams"}}
    dims = read_image_width(source), lexical.dim
    with writing_space(folder / EMBEDDINGS, len(job.rows), *dims, joint=False) as space:
        copy_image(source, space)
        space.write("text", np.arange(len(job.rows)), lexical.embed(job.prepared.captions()))
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
    folder: Path | None,
) -> None:
    """Write embeddings.h5 and the model; where there is no folder, only help to embed."""
    if folder is None:
        embed(model, job.prepared.inputs, _nowhere, _nothing)
        return
    dims, joint = (model.image.dim, model.text.dim), model.fusion is not None
    with writing_space(folder / EMBEDDINGS, len(job.rows), *dims, joint) as space:
        for name, rows in roles.items():
            space.write(name, np.arange(len(job.rows)), rows)
        embed(model, job.prepared.inputs, space.write, space.read)
        space.describe(about)
    save_model(model, folder)


def _nowhere(name: str, rows: np.ndarray, values: np.ndarray) -> None:
    """Write nothing."""


def _nothing(name: str, rows: slice) -> np.ndarray:
    raise AssertionError("what was written nowhere is not read back")


def _about(job: Job) -> dict[str, Any]:
    return {
        "image": job.backbones.image_origin,
        "text": job.backbones.text_origin,
        "image_pooling": "global average",
        "text_pooling": job.config.text_pooling,
        "image_size": job.config.image_size,
    }


def _checkpoint(job: Job, name: str, seconds: float, folder: Path) -> Checkpoint:
    shared = ("text_pooling", "image_size", "max_tokens", "precision")
    config = job.config
    return Checkpoint(
        stamp=job.stamp,
        fusion=config.fusion if name.startswith("space_") else None,
        least_image_size=0 if name.startswith("space_") else PRETRAINED_SIZE,
        columns=asdict(columns_named(config)),
        seconds=round(seconds, 1),
        machine=job.machine.describe(),
        # The embeddings have checksums of their own, and do not stay in the folder.
        files=digests(folder, EMBEDDINGS),
        **{key: getattr(config, key) for key in shared},
    )


def _labelled_captions(job: Job) -> list[str]:
    captions = job.prepared.captions()
    return [captions[row] for row in np.flatnonzero(job.rows.labelled)]
