"""Spaces of a run that is extracted anew which the change does not touch: they are kept."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from extract import ranks
from extract.checkpoint import (
    Checkpoint,
    check_files,
    holds_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from extract.config import MACHINE, MODEL, WEIGHTS, ExtractConfig
from extract.job import Job, columns_named
from extract.spaces import EMBEDDINGS, LEXICAL, PRETRAINED
from features.errors import UserError
from features.files import link_folder, replacing_folder
from features.progress import say
from features.store import check_space_of, copy_space, read_attributes

EMBEDDED_BY = tuple(
    field.name
    for field in fields(ExtractConfig)
    if field.metadata["group"] in (WEIGHTS, MODEL, MACHINE) and field.name != "fusion"
)
"""Settings that change what towers say without any training."""
DEPENDS_ON = {PRETRAINED: EMBEDDED_BY, LEXICAL: (*EMBEDDED_BY, "seed")}
"""Space -> its settings; fine-tuned ones depend on all."""


def is_affected(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a space made from `old` is another than one made from `new`, see `job.identify`."""
    rest = ("fingerprint", "weights")
    keys = DEPENDS_ON.get(name, new["config"])
    return any(old[key] != new[key] for key in rest) or any(
        old["config"].get(key) != new["config"][key] for key in keys
    )


def keep_unaffected(job: Job, names: list[str], also_the_same: bool) -> None:
    """Put those of the spaces `names` that the run has, and that would come out the same, among
    the finished ones of `job`; none if nothing at all has changed, unless `also_the_same`.

    What is damaged is not kept, and a line says so.
    """
    if ranks.first():
        _keep_unaffected(job, names, also_the_same)
    ranks.wait()


def _keep_unaffected(job: Job, names: list[str], also_the_same: bool) -> None:
    features, backbones = job.run / "features.h5", job.run / "backbones"
    if not features.is_file():
        return
    try:
        old = read_attributes(features)
    except UserError as error:
        say(f"no space is kept: {error}")
        return
    if old["stamp"] == job.stamp and not also_the_same:
        return
    kept = []
    for name in names:
        same = not is_affected(name, old, job.made_from)
        # Its pictures' embeddings are the pretrained space's.
        same &= name != LEXICAL or PRETRAINED in kept
        checkpoint = _whole(job, name, backbones / name, old["stamp"]) if same else None
        if checkpoint:
            kept.append(name)
            _keep(job, name, checkpoint)
            say(f"{name}: kept, nothing that it depends on has changed")


def _whole(job: Job, name: str, backbones: Path, stamp: str) -> Checkpoint | None:
    """A space's checkpoint if the run has all of it, made on a device that rounds as this one does;
    that does not matter where nothing at all has changed."""
    try:
        if not holds_checkpoint(backbones, stamp):
            return None
        checkpoint = read_checkpoint(backbones)
        check_files(backbones, checkpoint)
        check_space_of(job.run / "features.h5", name)
        if stamp != job.stamp and checkpoint.machine != job.machine.describe():
            raise UserError(f"it was made on {checkpoint.machine}")
    except UserError as error:
        say(f"{name} is not kept: {error}")
        return None
    return checkpoint


def _keep(job: Job, name: str, checkpoint: Checkpoint) -> None:
    columns = asdict(columns_named(job.config))
    with replacing_folder(job.folder / name) as folder:
        link_folder(job.run / "backbones" / name, folder)
        copy_space(job.run / "features.h5", name, folder / EMBEDDINGS)
        save_checkpoint(replace(checkpoint, stamp=job.stamp, columns=columns), folder)
