"""Spaces of a run that is extracted anew which the change does not touch: they are kept."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from extract import ranks
from extract.checkpoint import check_files, holds_checkpoint, read_checkpoint, save_checkpoint
from extract.job import Job, columns_named
from extract.spaces import EMBEDDINGS, LEXICAL, PRETRAINED
from features.errors import UserError
from features.files import link_folder, replacing_folder
from features.progress import say
from features.store import copy_space, read_attributes

EMBEDDED_BY = (
    "weights",
    "image_weights",
    "text_weights",
    "image_revision",
    "text_revision",
    "image_size",
    "max_tokens",
    "text_pooling",
    "device",
    "precision",
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
    features = job.run / "features.h5"
    if not features.is_file():
        return
    try:
        old = read_attributes(features)
    except UserError as error:
        say(f"no space is kept: {error}")
        return
    if old["stamp"] == job.stamp and not also_the_same:
        return
    for name in names:
        folder = job.run / "backbones" / name
        if is_affected(name, old, job.made_from) or holds_checkpoint(job.folder / name, job.stamp):
            continue
        try:
            if holds_checkpoint(folder, old["stamp"]):
                _keep(job, name, folder, features)
                say(f"{name}: kept, nothing that it depends on has changed")
        except UserError as error:
            say(f"{name} is not kept: {error}")


def _keep(job: Job, name: str, backbones: Path, features: Path) -> None:
    checkpoint = read_checkpoint(backbones)
    check_files(backbones, checkpoint)
    columns = asdict(columns_named(job.config))
    with replacing_folder(job.folder / name) as folder:
        folder.rmdir()
        link_folder(backbones, folder)
        copy_space(features, name, folder / EMBEDDINGS)
        save_checkpoint(replace(checkpoint, stamp=job.stamp, columns=columns), folder)
