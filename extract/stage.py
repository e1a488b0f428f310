"""Stage one from end to end: memes in, features.h5 and the backbones out."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from extract import ranks
from extract.checkpoint import holds_checkpoint, read_checkpoint
from extract.config import ExtractConfig
from extract.device import choose_machine
from extract.facts import data_facts, near_duplicates
from extract.job import Job, check_folds, open_job, resolve, stamp
from extract.keep import is_affected, keep_unaffected
from extract.spaces import EMBEDDINGS, make_spaces, names_of
from features.errors import UserError
from features.files import (
    link_folder,
    read_json,
    remove_folder,
    replacing_folder,
    write_json,
    write_text,
)
from features.progress import say
from features.settings import flag, to_dict
from features.store import join_spaces, read_attributes, read_space_names
from features.table import SPLITS

CONFIG = "config.json"
"""In a run, and beside spaces that wait for others: the settings that they were made with."""


def extract(
    config: ExtractConfig, run: Path, force: bool = False, only_folds: str | None = None
) -> Path:
    """Make every space; write features.h5, backbones/, config.json and what is known of the data.

    Returns the path of features.h5. Spaces that an earlier call finished before it was broken off
    are kept, and so are those of a finished run that a change of settings does not touch. Without
    `config.data` the built-in sample is drawn into run/sample and read back from there. A
    features.h5 made from the same data and settings is kept as it is; one made from others is only
    replaced with `force`. With `only_folds`, numbers separated by commas, the spaces of these folds
    alone are made, for `merge` to join, and their folder is returned. Raises UserError for bad data
    or settings.
    """
    config = resolve(config)
    names = names_of(config, only_folds)
    machine = choose_machine(config.device, config.precision)
    with ranks.joined(machine.device):
        job = open_job(config, machine, run)
        features = run / "features.h5"
        current = features.exists() and not force and _is_current(features, job.made_from, names)
        # No rank may go on to write before all have looked.
        ranks.wait()
        if current:
            say(f"{features} is up to date: same data, same settings (--force makes it anew)")
            if ranks.first():
                # What a call left that was killed after all was joined.
                remove_folder(job.folder)
                _renew_records(job)
            return features
        check_folds(job)
        facts = data_facts(job.prepared, job.rows)
        _announce(job, facts)
        _begin(job)
        # Told to make anew what is up to date, nothing is kept.
        keep_unaffected(job, names, also_the_same=not force)
        made = make_spaces(job, names)
        if only_folds is not None:
            say(f"the run that joins all folds: python pipeline.py merge {run.name} ...")
            return job.folder
        if ranks.first():
            finish(job, facts, made)
        ranks.wait()
    return features


def _is_current(features: Path, made_from: dict[str, Any], names: list[str]) -> bool:
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
        + "Name another --run to keep both, or pass --force, which makes anew "
        + ", ".join(name for name in names if is_affected(name, old, made_from))
        + "."
    )


def _has_backbones(run: Path, stamp: str) -> bool:
    """False, and a line that says so, if a space's backbones are gone or of other features."""
    for name in read_space_names(run / "features.h5"):
        folder = run / "backbones" / name
        if not holds_checkpoint(folder, stamp):
            say(f"{folder} does not hold what features.h5 was made with, and is made anew")
            return False
    return True


def _renew_records(job: Job) -> None:
    """Write anew what people and the report read, if it is gone, damaged or of other features."""
    run = job.run
    try:
        read_json(run / CONFIG, "extract")
        if read_json(run / "data.json", "extract").get("stamp") != job.stamp:
            raise UserError(f"{run / 'data.json'} is of other features.")
        for name in ("memes.jsonl", "near_duplicates.csv"):
            if not (run / name).is_file():
                raise UserError(f"{run / name} is missing.")
    except UserError as error:
        say(f"what is told of the data is written anew: {error}")
        names = read_space_names(run / "features.h5")
        _write_records(job, data_facts(job.prepared, job.rows), names, run / "backbones")


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


def _begin(job: Job) -> None:
    """Make the folder that finished spaces wait in. What an earlier, broken-off extraction of other
    data or settings left there is of no use."""
    if ranks.first():
        for other in job.folder.parent.glob("*"):
            if other != job.folder and other.is_dir():
                remove_folder(other)
        write_json(job.folder / CONFIG, to_dict(job.config))
    ranks.wait()


def finish(job: Job, facts: dict[str, Any], names: list[str]) -> Path:
    """Put the run together out of finished spaces, which are then gone from `job.folder`."""
    features, heads = job.run / "features.h5", job.run / "heads"
    # Until the last of this is done, what is there belongs to no features.
    features.unlink(missing_ok=True)
    _write_records(job, facts, names, job.folder)
    with replacing_folder(job.run / "backbones") as partial:
        for name in names:
            link_folder(job.folder / name, partial / name, EMBEDDINGS)
    # Heads fitted on other embeddings must not outlive them.
    if heads.is_dir():
        say(f"{heads} goes with the features that it was fitted on: run fit-heads")
        remove_folder(heads)
    identity = {
        **job.made_from,
        "stamp": job.stamp,
        "id_column": job.prepared.table.id_column,
        "label_column": job.prepared.table.label_column,
    }
    spaces = {name: job.folder / name / EMBEDDINGS for name in names}
    join_spaces(features, job.rows, identity, spaces)
    remove_folder(job.run / "unfinished")
    return features


def _write_records(job: Job, facts: dict[str, Any], names: list[str], spaces: Path) -> None:
    """Write the settings, and data.json, memes.jsonl and near_duplicates.csv for the report.

    `spaces` is the folder of the spaces called `names`.
    """
    run = job.run
    write_json(run / CONFIG, to_dict(job.config))
    seconds = {name: read_checkpoint(spaces / name).seconds for name in names}
    versions = {name: version(name) for name in ("torch", "timm", "transformers")}
    facts |= {"device": job.machine.describe(), "seconds": seconds, "versions": versions}
    write_json(run / "data.json", {"stamp": job.stamp, **facts})
    columns = ["id", "split", "caption", "image"]
    memes = job.prepared.table.rows[columns].copy()
    memes["image"] = [str(Path(path).resolve()) if path else "" for path in memes["image"]]
    write_text(run / "memes.jsonl", memes.to_json(orient="records", lines=True, force_ascii=False))
    near = near_duplicates(job.rows)
    write_text(run / "near_duplicates.csv", near.to_csv(index=False, lineterminator="\n"))
