"""Stage one from end to end: memes in, features.h5 and the backbones out."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from extract.backbones import Backbones, load_backbones
from extract.checkpoint import holds_checkpoint, read_checkpoint
from extract.config import ExtractConfig
from extract.device import choose_machine
from extract.facts import data_facts, near_duplicates
from extract.groups import assign_folds, group_memes, plan_space
from extract.memes import read_memes
from extract.prepare import Prepared, prepare
from extract.sample import write_sample
from extract.spaces import EMBEDDINGS, Job, columns_named, make_spaces
from features.errors import UserError
from features.files import replacing_folder, write_json, write_text
from features.progress import say
from features.settings import flag, to_dict
from features.store import join_spaces, read_attributes, read_space_names
from features.table import SPLITS, Rows


def extract(config: ExtractConfig, run: Path, force: bool = False) -> Path:
    """Make every space; write features.h5, backbones/, config.json and what is known of the data.

    Returns the path of features.h5. Spaces that an earlier call finished before it was broken off
    are kept. Without `config.data` the built-in sample is drawn into run/sample and read back
    from there. A features.h5 made from the same data and settings is kept as it is; one made from
    others is only replaced with `force`. Raises UserError for bad data or settings.
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
    job = Job(
        config,
        machine,
        backbones,
        prepared,
        _rows(prepared, config),
        stamp(made_from),
        run / "unfinished" / stamp(made_from),
    )
    facts = data_facts(prepared, job.rows)
    _check_folds(job.rows, config)
    _announce(job, facts)
    _drop_others(job.folder)
    names = make_spaces(job)
    identity = {
        **made_from,
        "stamp": job.stamp,
        "id_column": prepared.table.id_column,
        "label_column": prepared.table.label_column,
    }
    _describe_data(job, facts, names, run)
    _finish(job, names, identity, features)
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
        read_memes(data, columns_named(config)),
        config.image_size,
        backbones.image.interpolation,
        config.max_tokens,
        backbones.text,
        config.on_bad_rows,
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
    """False, and a line that says so, if a space's backbones are gone or of other features."""
    for name in read_space_names(run / "features.h5"):
        folder = run / "backbones" / name
        if not holds_checkpoint(folder, stamp):
            say(f"{folder} does not hold what features.h5 was made with: both are made anew")
            return False
    return True


def _rows(prepared: Prepared, config: ExtractConfig) -> Rows:
    rows = prepared.table.rows
    split, label = rows["split"].to_numpy(dtype=object), rows["label"].to_numpy()
    group = group_memes(prepared.table, prepared.inputs.pictures)
    fold = assign_folds(split, label, group, config.folds, config.seed)
    return Rows(
        rows["id"].to_numpy(dtype=object), split, label, group, fold, rows["order"].to_numpy()
    )


def _check_folds(rows: Rows, config: ExtractConfig) -> None:
    """Raise UserError now, not after hours, if a fold cannot be left out."""
    for fold in range(config.folds):
        plan_space(rows.label, rows.group, rows.fold, fold, config.seed)


def _announce(job: Job, facts: dict[str, Any]) -> None:
    near, splits = facts["near_duplicates"], facts["splits"]
    say(f"backbones: {job.backbones.image_origin['name']}, {job.backbones.text_origin['name']}")
    say(f"device: {job.machine.describe()}")
    say("rows: " + ", ".join(f"{splits[split]['rows']} {split}" for split in SPLITS))
    say(
        f"near-duplicates: {near['rows_sharing']} rows share a group (largest: {near['largest']}); "
        f"{near['test_rows_near_labelled']} test rows have one among train and val"
    )
    if facts["contradictions"]:
        say(
            f"contradictions: {len(facts['contradictions'])} memes occur in train and val with "
            "both labels (data.json lists them)"
        )


def _drop_others(folder: Path) -> None:
    """What an earlier, broken-off extraction of other data or settings left is of no use."""
    for other in folder.parent.glob("*"):
        if other != folder:
            shutil.rmtree(other)


def _describe_data(job: Job, facts: dict[str, Any], names: list[str], run: Path) -> None:
    """Write data.json, memes.jsonl and near_duplicates.csv, which the report shows."""
    seconds = {name: read_checkpoint(job.folder / name).seconds for name in names}
    versions = {name: version(name) for name in ("torch", "timm", "transformers")}
    facts |= {"device": job.machine.describe(), "seconds": seconds, "versions": versions}
    write_json(run / "data.json", {"stamp": job.stamp, **facts})
    columns = ["id", "split", "caption", "image"]
    memes = job.prepared.table.rows[columns].copy()
    memes["image"] = [str(Path(path).resolve()) if path else "" for path in memes["image"]]
    write_text(run / "memes.jsonl", memes.to_json(orient="records", lines=True, force_ascii=False))
    near = near_duplicates(job.rows)
    write_text(run / "near_duplicates.csv", near.to_csv(index=False, lineterminator="\n"))


def _finish(job: Job, names: list[str], identity: dict[str, Any], features: Path) -> None:
    """Join the spaces to features.h5; keep what embeds new memes in backbones/."""
    run = features.parent
    with replacing_folder(run / "backbones") as partial:
        for name in names:
            shutil.copytree(
                job.folder / name,
                partial / name,
                copy_function=_link,
                ignore=shutil.ignore_patterns(EMBEDDINGS),
            )
    write_json(run / "config.json", to_dict(job.config))
    # Heads fitted on other embeddings must not outlive them.
    shutil.rmtree(run / "heads", ignore_errors=True)
    join_spaces(features, job.rows, identity, {n: job.folder / n / EMBEDDINGS for n in names})
    shutil.rmtree(run / "unfinished")


def _link(source: str, target: str) -> None:
    """A hard link: copies would cost gigabytes, a move what has been made so far."""
    try:
        os.link(source, target)
    except OSError:  # a file system that has none
        shutil.copy2(source, target)
