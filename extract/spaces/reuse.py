"""Spaces of a run that is extracted anew which the change does not touch: they are kept."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from extract.config import MACHINE, MODEL, WEIGHTS, ExtractConfig
from extract.spaces.checkpoint import (
    Checkpoint,
    check_files,
    holds_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.lexical import LEXICAL
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.setup import Setup, columns_named
from extract.training import distributed
from features.hdf5_store import check_space_of, copy_space, read_attributes
from runtime.atomic_files import link_folder, replacing_folder
from runtime.errors import UserError
from runtime.progress import log

EMBEDDED_BY = tuple(
    field.name
    for field in fields(ExtractConfig)
    if field.metadata["group"] in (WEIGHTS, MODEL, MACHINE) and field.name != "fusion"
)
"""Settings that change what towers say without any training."""

DEPENDS_ON = {PRETRAINED: EMBEDDED_BY, LEXICAL: (*EMBEDDED_BY, "seed")}
"""Space -> its settings; fine-tuned ones depend on all."""


def is_affected(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a space made from `old` is another than one made from `new`, see `setup.identify`."""
    rest = ("fingerprint", "weights")
    keys = DEPENDS_ON.get(name, new["config"])
    return any(old[key] != new[key] for key in rest) or any(
        old["config"].get(key) != new["config"][key] for key in keys
    )


def reuse_unaffected(setup: Setup, names: list[str], also_the_same: bool) -> None:
    """Put those of the spaces `names` that the run has, and that would come out the same, among
    the finished ones of `setup`; none if nothing at all has changed, unless `also_the_same`.

    What is damaged is not kept, and a line says so.
    """
    if distributed.first():
        _keep_unaffected(setup, names, also_the_same)
    distributed.wait()


def _keep_unaffected(setup: Setup, names: list[str], also_the_same: bool) -> None:
    features, backbones = setup.run / "features.h5", setup.run / "backbones"
    if not features.is_file():
        return
    try:
        old = read_attributes(features)
    except UserError as error:
        log(f"no space is kept: {error}")
        return
    if old["stamp"] == setup.stamp and not also_the_same:
        return
    kept = []
    for name in names:
        same = not is_affected(name, old, setup.made_from)
        # Its pictures' embeddings are the pretrained space's.
        same &= name != LEXICAL or PRETRAINED in kept
        checkpoint = _whole(setup, name, backbones / name, old["stamp"]) if same else None
        if checkpoint:
            kept.append(name)
            _keep(setup, name, checkpoint)
            log(f"{name}: kept, nothing that it depends on has changed")


def _whole(setup: Setup, name: str, backbones: Path, stamp: str) -> Checkpoint | None:
    """A space's checkpoint if the run has all of it, made on a device that rounds as this one does;
    that does not matter where nothing at all has changed."""
    try:
        if not holds_checkpoint(backbones, stamp):
            return None
        checkpoint = read_checkpoint(backbones)
        check_files(backbones, checkpoint)
        check_space_of(setup.run / "features.h5", name)
        if stamp != setup.stamp and checkpoint.machine != setup.machine.describe():
            raise UserError(f"it was made on {checkpoint.machine}")
    except UserError as error:
        log(f"{name} is not kept: {error}")
        return None
    return checkpoint


def _keep(setup: Setup, name: str, checkpoint: Checkpoint) -> None:
    columns = asdict(columns_named(setup.config))
    with replacing_folder(setup.folder / name) as folder:
        link_folder(setup.run / "backbones" / name, folder)
        copy_space(setup.run / "features.h5", name, folder / EMBEDDINGS)
        save_checkpoint(replace(checkpoint, stamp=setup.stamp, columns=columns), folder)
