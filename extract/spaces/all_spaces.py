"""Create the spaces of a run: one fine-tuned space per fold, then two that need no labels.

Each space is created in its own folder, with its embeddings and the models that embed new memes.
The folder appears under its final name only when complete. Complete spaces are not created again.
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
from extract.spaces.fine_tuned import STATE_SUFFIX, create_fine_tuned_space
from extract.spaces.lexical import LEXICAL, create_lexical_space, labelled_captions
from extract.spaces.ngrams import fit_lexical
from extract.spaces.pretrained import PRETRAINED, create_pretrained_space
from extract.spaces.run_setup import Setup
from extract.tables.table_options import columns_named
from extract.training import distributed
from runtime.atomic_files import atomic_write_folder
from runtime.errors import UserError
from runtime.file_checksums import folder_checksums
from runtime.progress import log


def space_names(config: ExtractConfig, only_folds: str | None = None) -> list[str]:
    """Return the names of a run's spaces: fine-tuned ones first, then those without labels.

    With `only_folds`, numbers separated by commas, only these folds' spaces; those without labels
    go with fold 0. Raises UserError for a number that is not a fold.
    """
    if only_folds is None:
        folds = list(range(config.folds))
    elif not config.folds:
        raise UserError("--only-folds: with --folds 0 there are none. Leave this flag out.")
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
    return [*tuned, PRETRAINED, LEXICAL] if 0 in folds or not folds else tuned


def create_spaces(setup: Setup, names: list[str]) -> list[str]:
    """Create the spaces in `names` that do not exist yet; return the names of those that exist now.

    There is no lexical space if the captions have too little in common.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    functions: dict[str, Callable[[Path | None], None]] = {
        f"space_{fold}": partial(create_fine_tuned_space, setup, fold)
        for fold in range(setup.config.folds)
    }
    functions[PRETRAINED] = partial(create_pretrained_space, setup)
    if LEXICAL in names:
        lexical = fit_lexical(labelled_captions(setup), setup.config.seed)
        if lexical is None:
            log("no lexical space: no three captions share a word")
            names = [name for name in names if name != LEXICAL]
        else:
            functions[LEXICAL] = partial(create_lexical_space, setup, lexical)
    for name in names:
        if distributed.broadcast_object(holds_checkpoint(setup.folder / name, setup.stamp)):
            log(f"{name}: already complete")
        else:
            _create_space(setup, name, functions[name])
    return names


def _create_space(setup: Setup, name: str, create: Callable[[Path | None], None]) -> None:
    """Create one space. Rank 0 writes it; the other ranks pass no folder and only compute."""
    start = time.perf_counter()
    if distributed.first():
        with atomic_write_folder(setup.folder / name) as folder:
            create(folder)
            checkpoint = _checkpoint(setup, name, time.perf_counter() - start, folder)
            save_checkpoint(checkpoint, folder)
        (setup.folder / f"{name}{STATE_SUFFIX}").unlink(missing_ok=True)
    else:
        create(None)
    distributed.barrier()
    log(f"{name}: complete after {time.perf_counter() - start:.0f} s")


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
        # The embeddings contain checksums themselves, and are moved to features.h5.
        files=folder_checksums(folder, EMBEDDINGS),
        **{key: getattr(config, key) for key in shared},
    )
