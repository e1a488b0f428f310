"""The spaces of a run: pairs of backbones fine-tuned without a fold, and two that need no labels.

Each is made by itself, into a folder that holds its embeddings and what it takes to embed a new
meme. The folder is put into place when whole, and a space that is whole is not made again.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from extract.config import ExtractConfig
from extract.spaces import pretrained
from extract.spaces.checkpoint import Checkpoint, holds_checkpoint, save_checkpoint
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.fine_tuned import STATE, make_fine_tuned
from extract.spaces.lexical import LEXICAL, labelled_captions, make_lexical
from extract.spaces.ngrams import fit_lexical
from extract.spaces.pretrained import PRETRAINED, make_pretrained
from extract.spaces.setup import Setup, columns_named
from extract.training import distributed
from runtime.atomic_files import replacing_folder
from runtime.errors import UserError
from runtime.file_checksums import digests
from runtime.progress import log


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


def make_spaces(setup: Setup, names: list[str]) -> list[str]:
    """Make what is missing of the spaces called `names`; returns the names of those there are.

    Captions can be too few for a lexical one.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    makers: dict[str, Callable[[Path], None]] = {
        f"space_{fold}": partial(make_fine_tuned, setup, fold) for fold in range(setup.config.folds)
    }
    makers[PRETRAINED] = partial(make_pretrained, setup)
    if LEXICAL in names:
        lexical = fit_lexical(labelled_captions(setup), setup.config.seed)
        if lexical is None:
            log("no lexical space: no three captions share a word")
            names = [name for name in names if name != LEXICAL]
        else:
            makers[LEXICAL] = partial(make_lexical, setup, lexical)
    for name in names:
        if distributed.agreed(holds_checkpoint(setup.folder / name, setup.stamp)):
            log(f"{name}: made already")
        else:
            _make(setup, name, makers[name])
    return names


def _make(setup: Setup, name: str, maker: Callable[[Path | None], None]) -> None:
    """Make one space. The first rank writes it; the others are given no folder."""
    start = time.perf_counter()
    if distributed.first():
        with replacing_folder(setup.folder / name) as folder:
            maker(folder)
            checkpoint = _checkpoint(setup, name, time.perf_counter() - start, folder)
            save_checkpoint(checkpoint, folder)
        (setup.folder / f"{name}{STATE}").unlink(missing_ok=True)
    else:
        maker(None)
    distributed.wait()
    log(f"{name}: made in {time.perf_counter() - start:.0f} s")


def _checkpoint(setup: Setup, name: str, seconds: float, folder: Path) -> Checkpoint:
    shared = ("text_pooling", "image_size", "max_tokens", "precision")
    config = setup.config
    return Checkpoint(
        stamp=setup.stamp,
        fusion=config.fusion if name.startswith("space_") else None,
        least_image_size=0 if name.startswith("space_") else pretrained.PRETRAINED_SIZE,
        columns=asdict(columns_named(config)),
        seconds=round(seconds, 1),
        machine=setup.machine.describe(),
        # The embeddings have checksums of their own, and do not stay in the folder.
        files=digests(folder, EMBEDDINGS),
        **{key: getattr(config, key) for key in shared},
    )
