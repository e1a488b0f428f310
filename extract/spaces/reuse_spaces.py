"""Reuse the spaces of an existing run that a change of settings does not affect."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from extract.config import MACHINE, MODEL, WEIGHTS, ExtractConfig
from extract.spaces.checkpoint import (
    Checkpoint,
    holds_checkpoint,
    read_checkpoint,
    save_checkpoint,
    verify_files,
)
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.lexical import LEXICAL
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.run_setup import Setup
from extract.tables.table_options import columns_named
from extract.training import distributed
from features.hdf5_store import copy_space, read_attributes, verify_space
from runtime.atomic_files import atomic_write_folder, link_folder
from runtime.errors import UserError
from runtime.progress import log

EMBEDDING_SETTINGS = tuple(
    field.name
    for field in fields(ExtractConfig)
    if field.metadata["group"] in (WEIGHTS, MODEL, MACHINE) and field.name != "fusion"
)
"""Settings that change the embeddings of towers that are not trained."""

DEPENDS_ON = {PRETRAINED: EMBEDDING_SETTINGS, LEXICAL: (*EMBEDDING_SETTINGS, "seed")}
"""Space -> the settings it depends on. Fine-tuned spaces depend on all."""


def is_affected(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether the space `name` differs between two extractions, see `run_setup.identify`."""
    common = ("fingerprint", "weights")
    settings = DEPENDS_ON.get(name, new["config"])
    return any(old[key] != new[key] for key in common) or any(
        old["config"].get(key) != new["config"][key] for key in settings
    )


def reuse_unaffected(setup: Setup, names: list[str], even_if_unchanged: bool) -> None:
    """Copy those spaces in `names` that the run has and that would come out the same.

    They become finished spaces of `setup`. If data and settings are all unchanged, none is copied
    unless `even_if_unchanged`. Damaged spaces are not reused; a line in the log says so.
    """
    if distributed.first():
        _reuse_unaffected(setup, names, even_if_unchanged)
    distributed.barrier()


def _reuse_unaffected(setup: Setup, names: list[str], even_if_unchanged: bool) -> None:
    features, backbones = setup.run / "features.h5", setup.run / "backbones"
    if not features.is_file():
        return
    try:
        old = read_attributes(features)
    except UserError as error:
        log(f"no space is reused: {error}")
        return
    if old["stamp"] == setup.stamp and not even_if_unchanged:
        return
    reused = []
    for name in names:
        if is_affected(name, old, setup.made_from):
            continue
        # The lexical space contains the image embeddings of the pretrained space.
        if name == LEXICAL and PRETRAINED not in reused:
            continue
        checkpoint = _find_reusable(setup, name, backbones / name, old["stamp"])
        if checkpoint:
            reused.append(name)
            _copy_to_unfinished(setup, name, checkpoint)
            log(f"{name}: reused, because nothing that it depends on has changed")


def _find_reusable(setup: Setup, name: str, backbones: Path, stamp: str) -> Checkpoint | None:
    """Return a space's checkpoint if the run has all of its files, undamaged.

    If anything has changed, the space must be from a device that rounds as this one does.
    """
    try:
        if not holds_checkpoint(backbones, stamp):
            return None
        checkpoint = read_checkpoint(backbones)
        verify_files(backbones, checkpoint)
        verify_space(setup.run / "features.h5", name)
        if stamp != setup.stamp and checkpoint.machine != setup.machine.describe():
            raise UserError(f"it was created on {checkpoint.machine}")
    except UserError as error:
        log(f"{name} is not reused: {error}")
        return None
    return checkpoint


def _copy_to_unfinished(setup: Setup, name: str, checkpoint: Checkpoint) -> None:
    columns = asdict(columns_named(setup.config))
    with atomic_write_folder(setup.folder / name) as folder:
        link_folder(setup.run / "backbones" / name, folder)
        copy_space(setup.run / "features.h5", name, folder / EMBEDDINGS)
        save_checkpoint(replace(checkpoint, stamp=setup.stamp, columns=columns), folder)
