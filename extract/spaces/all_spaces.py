"""Create the spaces of a run, in the order of `space_registry`.

Each space is created in its own folder, with its embeddings and the models that embed new memes.
The folder appears under its final name only when complete. Complete spaces are not created again.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from extract.spaces.checkpoint import Checkpoint, holds_checkpoint, save_checkpoint
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.fine_tuned import STATE_SUFFIX
from extract.spaces.run_setup import Setup
from extract.spaces.space_registry import kind_of
from extract.tables.table_options import columns_named
from extract.training import distributed
from runtime.files.atomic_files import atomic_write_folder
from runtime.files.file_checksums import folder_checksums
from runtime.progress import log


def create_spaces(setup: Setup, names: list[str]) -> list[str]:
    """Create the spaces in `names` that do not exist yet; return the names of those that exist now.

    A kind of space that the data do not allow is left out.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    obstacles = {name: kind_of(name).obstacle(setup) for name in names}
    for name, obstacle in obstacles.items():
        if obstacle:
            log(f"no {name} space: {obstacle}")
        elif distributed.broadcast_object(holds_checkpoint(setup.folder / name, setup.stamp)):
            log(f"{name}: already complete")
        else:
            _create_space(setup, name)
    return [name for name, obstacle in obstacles.items() if not obstacle]


def _create_space(setup: Setup, name: str) -> None:
    """Create one space. Rank 0 writes it; the other ranks pass no folder and only compute."""
    start, create = time.perf_counter(), kind_of(name).create
    if distributed.first():
        with atomic_write_folder(setup.folder / name) as folder:
            own = create(setup, name, folder)
            checkpoint = _checkpoint(setup, time.perf_counter() - start, folder, own)
            save_checkpoint(checkpoint, folder)
        (setup.folder / f"{name}{STATE_SUFFIX}").unlink(missing_ok=True)
    else:
        create(setup, name, None)
    distributed.barrier()
    log(f"{name}: complete after {time.perf_counter() - start:.0f} s")


def _checkpoint(setup: Setup, seconds: float, folder: Path, own: dict[str, Any]) -> Checkpoint:
    """Return what checkpoint.json holds: the run's settings, and the space's `own` fields."""
    config = setup.config
    shared = ("text_pooling", "image_size", "max_tokens", "precision", "read_captions")
    shared += ("embedding_dtype",)
    settings = {
        "fusion": None,
        "least_image_size": 0,
        "origins": {"image": setup.backbones.image_origin, "text": setup.backbones.text_origin},
        **{key: getattr(config, key) for key in shared},
        **own,
    }
    return Checkpoint(
        stamp=setup.stamp,
        columns=asdict(columns_named(config)),
        seconds=round(seconds, 1),
        machine=setup.machine.describe(),
        # The embeddings contain checksums themselves, and are moved to features.h5.
        files=folder_checksums(folder, EMBEDDINGS),
        **settings,
    )
