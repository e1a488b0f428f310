"""Stage one from end to end: memes in, features.h5 and the backbones out."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from extract.config import ExtractConfig
from extract.duplicates.data_summary import near_duplicates, summarise_data
from extract.spaces.all_spaces import create_spaces, space_names
from extract.spaces.checkpoint import holds_checkpoint, read_checkpoint
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.reuse_spaces import is_affected, reuse_unaffected
from extract.spaces.run_setup import Setup, check_folds, load_setup, resolve, stamp
from extract.towers.device import choose_machine
from extract.training import distributed
from features.feature_table import SPLITS
from features.hdf5_store import join_spaces, read_attributes, read_space_names
from runtime.atomic_files import atomic_write_folder, link_folder, remove_folder, write_text
from runtime.errors import UserError
from runtime.json_files import read_json, write_json
from runtime.progress import log
from runtime.settings import flag, to_dict

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
    names = space_names(config, only_folds)
    machine = choose_machine(config.device, config.precision)
    with distributed.process_group(machine.device):
        setup = load_setup(config, machine, run)
        features = run / "features.h5"
        current = features.exists() and not force and _is_current(features, setup.made_from, names)
        # No rank may go on to write before all have looked.
        distributed.barrier()
        if current:
            log(f"{features} is up to date: same data, same settings (--force makes it anew)")
            if distributed.first():
                # What a call left that was killed after all was joined.
                remove_folder(setup.folder)
                _renew_records(setup)
            return features
        check_folds(setup)
        facts = summarise_data(setup.prepared, setup.rows)
        _announce(setup, facts)
        _begin(setup)
        # Told to make anew what is up to date, nothing is kept.
        reuse_unaffected(setup, names, even_if_unchanged=not force)
        made = create_spaces(setup, names)
        if only_folds is not None:
            log(f"the run that joins all folds: python pipeline.py merge {run.name} ...")
            return setup.folder
        if distributed.first():
            finish(setup, facts, made)
        distributed.barrier()
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
            log(f"{folder} does not hold what features.h5 was made with, and is made anew")
            return False
    return True


def _renew_records(setup: Setup) -> None:
    """Write anew what people and the report read, if it is gone, damaged or of other features."""
    run = setup.run
    try:
        read_json(run / CONFIG, "extract")
        if read_json(run / "data.json", "extract").get("stamp") != setup.stamp:
            raise UserError(f"{run / 'data.json'} is of other features.")
        for name in ("memes.jsonl", "near_duplicates.csv"):
            if not (run / name).is_file():
                raise UserError(f"{run / name} is missing.")
    except UserError as error:
        log(f"what is told of the data is written anew: {error}")
        names = read_space_names(run / "features.h5")
        _write_records(setup, summarise_data(setup.prepared, setup.rows), names, run / "backbones")


def _announce(setup: Setup, facts: dict[str, Any]) -> None:
    near, splits = facts["near_duplicates"], facts["splits"]
    log(f"backbones: {setup.backbones.image_origin['name']}, {setup.backbones.text_origin['name']}")
    log(f"device: {setup.machine.describe()}")
    log("rows: " + ", ".join(f"{splits[split]['rows']} {split}" for split in SPLITS))
    log(
        f"near-duplicates: {near['rows_sharing']} rows share a group (largest: {near['largest']}); "
        f"{near['test_rows_near_labelled']} test rows have one among train and val"
    )
    if facts["contradictions"]:
        log(
            f"contradictions: {len(facts['contradictions'])} memes occur in train and val with "
            "both labels (data.json lists them)"
        )


def _begin(setup: Setup) -> None:
    """Make the folder that finished spaces wait in. What an earlier, broken-off extraction of other
    data or settings left there is of no use."""
    if distributed.first():
        for other in setup.folder.parent.glob("*"):
            if other != setup.folder and other.is_dir():
                remove_folder(other)
        write_json(setup.folder / CONFIG, to_dict(setup.config))
    distributed.barrier()


def finish(setup: Setup, facts: dict[str, Any], names: list[str]) -> Path:
    """Put the run together out of finished spaces, which are then gone from `setup.folder`."""
    features, heads = setup.run / "features.h5", setup.run / "heads"
    # Until the last of this is done, what is there belongs to no features.
    features.unlink(missing_ok=True)
    _write_records(setup, facts, names, setup.folder)
    with atomic_write_folder(setup.run / "backbones") as partial:
        for name in names:
            link_folder(setup.folder / name, partial / name, EMBEDDINGS)
    # Heads fitted on other embeddings must not outlive them.
    if heads.is_dir():
        log(f"{heads} goes with the features that it was fitted on: run fit-heads")
        remove_folder(heads)
    identity = {
        **setup.made_from,
        "stamp": setup.stamp,
        "id_column": setup.prepared.table.id_column,
        "label_column": setup.prepared.table.label_column,
    }
    spaces = {name: setup.folder / name / EMBEDDINGS for name in names}
    join_spaces(features, setup.rows, identity, spaces)
    remove_folder(setup.run / "unfinished")
    return features


def _write_records(setup: Setup, facts: dict[str, Any], names: list[str], spaces: Path) -> None:
    """Write the settings, and data.json, memes.jsonl and near_duplicates.csv for the report.

    `spaces` is the folder of the spaces called `names`.
    """
    run = setup.run
    write_json(run / CONFIG, to_dict(setup.config))
    seconds = {name: read_checkpoint(spaces / name).seconds for name in names}
    versions = {name: version(name) for name in ("torch", "timm", "transformers")}
    facts |= {"device": setup.machine.describe(), "seconds": seconds, "versions": versions}
    write_json(run / "data.json", {"stamp": setup.stamp, **facts})
    columns = ["id", "split", "caption", "image"]
    memes = setup.prepared.table.rows[columns].copy()
    memes["image"] = [str(Path(path).resolve()) if path else "" for path in memes["image"]]
    write_text(run / "memes.jsonl", memes.to_json(orient="records", lines=True, force_ascii=False))
    near = near_duplicates(setup.rows)
    write_text(run / "near_duplicates.csv", near.to_csv(index=False, lineterminator="\n"))
