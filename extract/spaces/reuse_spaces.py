"""Reuse the spaces of an existing run that a change of settings does not affect."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from extract.config import ExtractConfig
from extract.frozen_sources import parse_frozen
from extract.spaces.checkpoint import (
    Checkpoint,
    holds_checkpoint,
    read_checkpoint,
    save_checkpoint,
    verify_files,
)
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.pretrained import PRETRAINED
from extract.spaces.run_setup import Setup
from extract.spaces.space_registry import kind_of
from extract.tables.table_options import columns_named
from extract.training import distributed
from features.hdf5_store import copy_space, read_attributes, verify_space
from runtime.config_fields import to_dict
from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write_folder, link_folder
from runtime.progress import log

DEFAULTS = to_dict(ExtractConfig())


def changed_settings(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the settings that differ between two extractions, see `run_setup.identify`.

    A setting that an older version did not have counts as the default. Other frozen models change
    no space but their own, and are not listed.
    """
    before = {**DEFAULTS, **old["config"]}
    return [k for k, value in new["config"].items() if k != "frozen" and before.get(k) != value]


def is_affected(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether the space `name` differs between two extractions, or is only in one."""
    common = ("fingerprint", "weights")
    settings = kind_of(name).depends_on
    return (
        any(old[key] != new[key] for key in common)
        or old.get("frozen", {}).get(name) != new["frozen"].get(name)
        or any(settings is None or key in settings for key in changed_settings(old, new))
    )


def keep_frozen_spaces(config: ExtractConfig, features: Path) -> ExtractConfig:
    """Add the frozen models of a finished run to the settings."""
    if not features.is_file():
        return config
    try:
        attributes = read_attributes(features)
    except UserError:
        # `extract` reports this itself, or with --force makes every space again.
        return config
    named = {source.name: source.flag for source in parse_frozen(config.frozen)}
    kept = parse_frozen(attributes["config"].get("frozen"))
    together = {source.name: source.flag for source in kept} | named
    return replace(config, frozen=sorted(together.values()) or None)


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
        # The spaces after it contain embeddings of the pretrained space.
        if PRETRAINED in names[: names.index(name)] and PRETRAINED not in reused:
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
