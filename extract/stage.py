"""Stage one from end to end: memes in, features.h5 and the fine-tuned backbones out."""

import hashlib
import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.backbones import Backbones, load_backbones
from extract.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from extract.columns import Columns
from extract.config import ExtractConfig
from extract.device import Machine, choose_machine
from extract.embed import embed
from extract.finetune import finetune
from extract.fusion import FUSIONS
from extract.groups import Plan, assign_folds, group_memes, plan_holdout
from extract.memes import read_memes
from extract.model import JointModel
from extract.prepare import Prepared, prepare
from extract.sample import write_sample
from features.errors import UserError
from features.files import write_json
from features.progress import say
from features.settings import flag, to_dict
from features.store import SpaceWriter, read_attributes, writing
from features.table import Rows


def extract(config: ExtractConfig, run: Path, force: bool = False) -> Path:
    """Fine-tune both backbones; write features.h5, backbones/ and config.json; return the former.

    Without `config.data` the built-in sample is drawn into run/sample and read back from there.
    A features.h5 made from the same data and settings is kept as it is; one made from others is
    only replaced with `force`. Raises UserError for bad data or settings.
    """
    config = resolve(config)
    features = run / "features.h5"
    machine = choose_machine(config.device, config.precision)
    backbones = load_backbones(
        config.weights, config.image_weights, config.text_weights, config.text_pooling
    )
    prepared = _prepare(config, run, backbones)
    settings = {**to_dict(config), "data": None}
    made_from = {
        "config": settings,
        "fingerprint": prepared.fingerprint(),
        "weights": [backbones.image_origin["revision"], backbones.text_origin["revision"]],
    }
    if features.exists() and not force and _is_current(features, made_from):
        say(f"{features} is up to date: same data, same settings (--force makes it anew)")
        return features
    rows = _rows(prepared, config)
    plan = plan_holdout(rows.label, rows.group, rows.fold, config.seed)
    _announce(backbones, machine, rows, plan)
    model, history = _finetuned(backbones, machine, prepared, rows, plan, config)
    identity = {
        **made_from,
        "stamp": stamp(made_from),
        "id_column": prepared.table.id_column,
        "label_column": prepared.table.label_column,
    }
    with writing(features, rows, identity) as file:
        about = _describe(backbones, config, history)
        _dump(file.add_space(model.image.dim, model.text.dim), model, prepared, plan, about)
        # The backbones go into place just before the file that vouches for them.
        checkpoint = _checkpoint(identity["stamp"], config)
        save_checkpoint(model, checkpoint, run / "backbones" / "space_0")
        write_json(run / "config.json", to_dict(config))
        # Heads fitted on other embeddings must not outlive them.
        shutil.rmtree(run / "heads", ignore_errors=True)
    return features


def resolve(config: ExtractConfig) -> ExtractConfig:
    """Fill in the default that depends on the data: bundled weights for the sample, else hub."""
    return replace(config, weights=config.weights or ("hub" if config.data else "bundled"))


def stamp(made_from: dict[str, Any]) -> str:
    """Short identity of an extraction: equal data and settings give equal stamps."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _prepare(config: ExtractConfig, run: Path, backbones: Backbones) -> Prepared:
    data = Path(config.data) if config.data else _sample(run / "sample", config)
    return prepare(
        read_memes(data, _columns(config)),
        config.image_size,
        backbones.image.interpolation,
        config.max_tokens,
        backbones.text,
        config.on_bad_rows,
    )


def _columns(config: ExtractConfig) -> Columns:
    return Columns(
        config.id_column,
        config.image_column,
        config.text_column,
        config.label_column,
        config.split_column,
    )


def _sample(folder: Path, config: ExtractConfig) -> Path:
    """Draw the sample anew: it takes seconds, and a half-drawn or edited one is never trusted."""
    shutil.rmtree(folder, ignore_errors=True)
    say(f"drawing {config.sample_memes} sample memes into {folder}")
    return write_sample(folder, config.sample_memes, config.seed)


def _is_current(features: Path, made_from: dict[str, Any]) -> bool:
    """True if the file was made from this; UserError if from something else."""
    old = read_attributes(features)
    changed = [
        f"{flag(key)}: was {old['config'].get(key)}, now {value}"
        for key, value in made_from["config"].items()
        if old["config"].get(key) != value
    ]
    if old["fingerprint"] != made_from["fingerprint"]:
        changed.append("the data: other rows, captions, labels or pictures")
    if old["weights"] != made_from["weights"]:
        changed.append("the pretrained weights: other revisions or files")
    if not changed:
        return _has_backbones(features.parent, stamp(made_from))
    raise UserError(
        f"{features} was made from other data or settings than asked for:\n"
        + "".join(f"  {line}\n" for line in changed)
        + "Name another --run to keep both, or pass --force to make this one anew."
    )


def _has_backbones(run: Path, stamp: str) -> bool:
    """False, and a line that says so, if the run's backbones are gone or of other features."""
    folder = run / "backbones" / "space_0"
    if (folder / "checkpoint.json").is_file() and read_checkpoint(folder).stamp == stamp:
        return True
    say(f"{folder} does not hold the backbones of features.h5: both are made anew")
    return False


def _rows(prepared: Prepared, config: ExtractConfig) -> Rows:
    rows = prepared.table.rows
    split, label = rows["split"].to_numpy(dtype=object), rows["label"].to_numpy()
    group = group_memes(prepared.table, prepared.inputs.pictures)
    fold = assign_folds(split, label, group, config.folds, config.seed)
    return Rows(
        rows["id"].to_numpy(dtype=object), split, label, group, fold, rows["order"].to_numpy()
    )


def _announce(backbones: Backbones, machine: Machine, rows: Rows, plan: Plan) -> None:
    size = np.bincount(rows.group)[rows.group]
    test = rows.split == "test"
    near = test & np.isin(rows.group, rows.group[rows.labelled])
    say(f"backbones: {backbones.image_origin['name']}, {backbones.text_origin['name']}")
    say(f"device: {machine.describe()}")
    say(
        f"rows: {plan.fitted.sum()} fitted, {plan.monitored.sum()} monitored, "
        f"{(rows.fold == 0).sum()} held out, {test.sum()} test"
    )
    say(
        f"near-duplicates: {(size > 1).sum()} rows share a group (largest: {size.max()}); "
        f"{near.sum()} test rows have one among train and val"
    )


def _finetuned(
    backbones: Backbones,
    machine: Machine,
    prepared: Prepared,
    rows: Rows,
    plan: Plan,
    config: ExtractConfig,
) -> tuple[JointModel, list[dict[str, float]]]:
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    fusion = FUSIONS[config.fusion](backbones.image.dim, backbones.text.dim)
    model = JointModel(backbones.image, backbones.text, fusion, machine)
    start = time.perf_counter()
    history = finetune(model, prepared.inputs, rows.label, plan, config)
    say(f"fine-tuned {len(history)} epochs in {time.perf_counter() - start:.0f} s")
    return model, history


def _describe(
    backbones: Backbones, config: ExtractConfig, history: list[dict[str, float]]
) -> dict[str, Any]:
    return {
        "image": backbones.image_origin,
        "text": backbones.text_origin,
        "image_pooling": "global average",
        "text_pooling": config.text_pooling,
        "image_size": config.image_size,
        "fusion": config.fusion,
        "history": history,
    }


def _dump(
    space: SpaceWriter, model: JointModel, prepared: Prepared, plan: Plan, about: dict[str, Any]
) -> None:
    every = np.arange(len(prepared.table))
    space.write("seen", every, plan.fitted)
    space.write("monitored", every, plan.monitored)
    embed(model, prepared.inputs, space.write, space.read)
    space.describe(about)


def _checkpoint(stamp: str, config: ExtractConfig) -> Checkpoint:
    shared = ("fusion", "text_pooling", "image_size", "max_tokens", "precision")
    settings = {name: getattr(config, name) for name in shared}
    return Checkpoint(stamp, columns=asdict(_columns(config)), **settings)
