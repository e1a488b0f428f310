"""Stage one from end to end: read memes, fine-tune the backbones, write features.h5."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from extract.config import CONFIG, ExtractConfig
from extract.folds.data_summary import near_duplicate_table, summarise_data
from extract.spaces.all_spaces import create_spaces
from extract.spaces.checkpoint import holds_checkpoint, read_checkpoint
from extract.spaces.dump_embeddings import EMBEDDINGS
from extract.spaces.ray_embedding import choose_embed
from extract.spaces.reuse_spaces import (
    changed_settings,
    is_affected,
    keep_frozen_spaces,
    reuse_unaffected,
)
from extract.spaces.run_setup import Setup, check_folds, load_setup, resolve, stamp
from extract.spaces.space_registry import space_names
from extract.towers.device import choose_machine
from extract.training import distributed
from features.feature_table import SPLITS
from features.hdf5_store import join_spaces, read_attributes, read_space_names
from runtime.cluster.engine_config import EngineConfig
from runtime.config_fields import flag, to_dict
from runtime.errors import UserError
from runtime.files.atomic_files import atomic_write_folder, link_folder, remove_folder, write_text
from runtime.files.json_files import read_json, write_json
from runtime.progress import log

HERE = EngineConfig()


def extract(
    config: ExtractConfig,
    run: Path,
    force: bool = False,
    only_folds: str | None = None,
    engine: EngineConfig = HERE,
) -> Path:
    """Create every space; write features.h5, backbones/, config.json and the data's summary.

    Returns the path of features.h5. A features.h5 of the same data and settings is not changed. One
    of other data or settings is only replaced with `force`. Two kinds of existing spaces are
    reused: those that an interrupted call finished, and those of a finished run that the change of
    settings does not affect. Without `config.data`, the built-in sample is written to run/sample
    and read from there.

    With `only_folds`, numbers separated by commas, only the spaces of these folds are created, for
    `merge` to join; their folder is returned. `engine` says where the rows of each space are
    embedded. Raises UserError for bad data or settings.
    """
    config = keep_frozen_spaces(resolve(config), run / "features.h5")
    names = space_names(config, only_folds)
    machine = choose_machine(config.device, config.precision)
    with distributed.process_group(machine.device):
        setup = load_setup(config, machine, run, choose_embed(engine))
        features = run / "features.h5"
        current = features.exists() and not force and _is_current(features, setup.made_from, names)
        # No rank may write before all ranks have checked.
        distributed.barrier()
        if current:
            log(f"{features} is up to date: same data, same settings (--force creates it again)")
            if distributed.first():
                # A call may have been killed after it wrote features.h5, before it deleted this.
                remove_folder(setup.folder)
                _repair_records(setup)
            return features
        check_folds(setup)
        summary = summarise_data(setup.data, setup.rows)
        _log_summary(setup, summary)
        _create_unfinished_folder(setup)
        # With --force and unchanged data and settings, every space is created again.
        reuse_unaffected(setup, names, even_if_unchanged=not force)
        created = create_spaces(setup, names)
        if only_folds is not None:
            log(f"to join all folds: python pipeline.py merge {run.name} ...")
            return setup.folder
        if distributed.first():
            assemble_run(setup, summary, created)
        distributed.barrier()
    return features


def _is_current(features: Path, made_from: dict[str, Any], names: list[str]) -> bool:
    """Return whether `features` is up to date; UserError if its data or settings are others."""
    old = read_attributes(features)
    changed = [
        f"{flag(key)}: was {old['config'].get(key)}, now {made_from['config'][key]}"
        for key in changed_settings(old, made_from)
    ]
    if old["fingerprint"] != made_from["fingerprint"]:
        changed.append("the data: other rows, captions, labels or pictures, or other --add")
    if old["weights"] != made_from["weights"]:
        changed.append("the pretrained weights: other revisions or files")
    kept = old.get("frozen", {})
    replaced = [name for name in kept if kept[name] != made_from["frozen"][name]]
    if replaced:
        changed.append(f"the models of {', '.join(replaced)}: other revisions or files")
    if not changed and old["config"].get("frozen") != made_from["config"]["frozen"]:
        log("adding to the run: " + ", ".join(n for n in made_from["frozen"] if n not in kept))
        return False
    if not changed:
        return _has_backbones(features.parent, stamp(made_from))
    raise UserError(
        f"{features} was created from other data or settings than requested:\n"
        + "".join(f"  {line}\n" for line in changed)
        + "Name another --run to keep both, or pass --force, which creates these spaces again: "
        + ", ".join(name for name in names if is_affected(name, old, made_from))
        + "."
    )


def _has_backbones(run: Path, stamp: str) -> bool:
    """Return whether all spaces have the backbones of features.h5; log the first that has not."""
    for name in read_space_names(run / "features.h5"):
        folder = run / "backbones" / name
        if not holds_checkpoint(folder, stamp):
            log(f"{folder} does not hold the backbones of features.h5 and is created again")
            return False
    return True


def _repair_records(setup: Setup) -> None:
    """Write the run's records again if one is missing, damaged or of another features.h5."""
    run = setup.run
    try:
        read_json(run / CONFIG, "extract")
        data = read_json(run / "data.json", "extract")
        if data.get("stamp") != setup.stamp:
            raise UserError(f"{run / 'data.json'} belongs to another features.h5.")
        if data.get("group_column") != setup.config.group_column:
            raise UserError("--group-column is another than before.")
        for name in ("memes.jsonl", "near_duplicates.csv"):
            if not (run / name).is_file():
                raise UserError(f"{run / name} is missing.")
    except UserError as error:
        log(f"writing the records of the run again: {error}")
        names = read_space_names(run / "features.h5")
        _write_records(setup, summarise_data(setup.data, setup.rows), names, run / "backbones")


def _log_summary(setup: Setup, summary: dict[str, Any]) -> None:
    near, splits = summary["near_duplicates"], summary["splits"]
    log(f"backbones: {setup.backbones.image_origin['name']}, {setup.backbones.text_origin['name']}")
    log(f"device: {setup.machine.describe()}")
    log("rows: " + ", ".join(f"{splits[split]['rows']} {split}" for split in SPLITS))
    log(
        f"near-duplicates: {near['rows_sharing']} rows share a group (largest: {near['largest']}); "
        f"{near['test_rows_near_labelled']} test rows have one among train and val"
    )
    for remark in setup.grouping.remarks():
        log(remark)
    if summary["contradictions"]:
        log(
            f"contradictions: {len(summary['contradictions'])} memes occur in train and val with "
            "both labels (data.json lists them)"
        )


def _create_unfinished_folder(setup: Setup) -> None:
    """Create the folder of finished spaces, and remove those of other data or settings."""
    if distributed.first():
        for other in setup.folder.parent.glob("*"):
            if other != setup.folder and other.is_dir():
                remove_folder(other)
        write_json(setup.folder / CONFIG, to_dict(setup.config))
    distributed.barrier()


def assemble_run(setup: Setup, summary: dict[str, Any], names: list[str]) -> Path:
    """Write features.h5 and the rest of the run from its finished spaces; remove `setup.folder`."""
    features, heads = setup.run / "features.h5", setup.run / "heads"
    # Until all files below are written, the run has no features.h5: they do not match the old one.
    features.unlink(missing_ok=True)
    _write_records(setup, summary, names, setup.folder)
    with atomic_write_folder(setup.run / "backbones") as partial:
        for name in names:
            link_folder(setup.folder / name, partial / name, EMBEDDINGS)
    # Heads that were fitted on other embeddings are useless.
    if heads.is_dir():
        log(f"removing {heads}, which was fitted on the old features: run fit-heads again")
        remove_folder(heads)
    identity = {
        **setup.made_from,
        "stamp": setup.stamp,
        "id_column": setup.data.table.id_column,
        "label_column": setup.data.table.label_column,
        "submission_columns": setup.data.table.submission_columns,
    }
    spaces = {name: setup.folder / name / EMBEDDINGS for name in names}
    join_spaces(features, setup.rows, identity, spaces)
    remove_folder(setup.run / "unfinished")
    return features


def _write_records(setup: Setup, summary: dict[str, Any], names: list[str], spaces: Path) -> None:
    """Write config.json, data.json, memes.jsonl and near_duplicates.csv, partly for the report.

    `spaces` is the folder that holds the spaces in `names`.
    """
    run = setup.run
    write_json(run / CONFIG, to_dict(setup.config))
    seconds = {name: read_checkpoint(spaces / name).seconds for name in names}
    versions = {name: version(name) for name in ("torch", "timm", "transformers")}
    summary |= {"device": setup.machine.describe(), "seconds": seconds, "versions": versions}
    summary |= {"remarks": [*summary["remarks"], *setup.grouping.remarks()]}
    summary |= {"group_column": setup.config.group_column}
    write_json(run / "data.json", {"stamp": setup.stamp, **summary})
    columns = ["id", "split", "caption", "image", *["slice"] * bool(setup.config.group_column)]
    memes = setup.data.table.rows[columns].copy()
    memes["image"] = [str(Path(path).resolve()) if path else "" for path in memes["image"]]
    write_text(run / "memes.jsonl", memes.to_json(orient="records", lines=True, force_ascii=False))
    near = near_duplicate_table(setup.rows)
    write_text(run / "near_duplicates.csv", near.to_csv(index=False, lineterminator="\n"))
