"""Status of stage one: which spaces and files of a run are done, and whether the data changed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from extract.config import CONFIG, PICTURES, ExtractConfig
from extract.data.fingerprint import data_fingerprint
from extract.data.image_decoding import THUMBNAIL_SIZE, decode_pictures
from extract.data.read_captions import read_captions
from extract.spaces.checkpoint import holds_checkpoint
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from features.hdf5_store import read_attributes, read_space_names
from runtime.config_fields import flag, from_dict, to_dict
from runtime.errors import UserError, argument
from runtime.files.json_files import read_json
from runtime.lock import lock_holder
from runtime.run_steps import BEGUN, DONE, MISSING, STALE, Step, steps_or_error

ALL_DEFAULTS = "all by default"


def steps_of_stage_one(run: Path) -> Iterator[Step]:
    """Yield the state of the running command, unfinished spaces, data, backbones and features.h5.

    Steps that do not apply to the run are left out.
    """
    features = run / "features.h5"
    if holder := lock_holder(run):
        yield Step("running", BEGUN, holder)
    unfinished = [path.parent for path in sorted(run.glob(f"unfinished/*/{CONFIG}"))]
    for folder in unfinished:
        yield from steps_or_error("spaces", lambda folder=folder: _unfinished_spaces(folder))
    if not features.is_file():
        yield from steps_or_error("features.h5", lambda: [_missing_features(run, unfinished)])
        return
    try:
        attributes, names = read_attributes(features), read_space_names(features)
        config = from_dict(ExtractConfig, {**attributes["config"], **_paths(run)})
    except UserError as error:
        yield Step("features.h5", STALE, str(error))
        return
    yield _data_step(config, attributes["fingerprint"], run)
    yield _backbones_step(run, names, attributes["stamp"])
    yield Step("features.h5", DONE, f"spaces {', '.join(names)}; {_changed_flags(config)}")


def _missing_features(run: Path, unfinished: list[Path]) -> Step:
    """Name the command that resumes. With other flags, finished spaces would be deleted."""
    flags = [_changed_flags(_settings(folder)) for folder in unfinished[:1]]
    command = ["python pipeline.py extract", f"--run {argument(run.name)}"]
    command += [changed for changed in flags if changed != ALL_DEFAULTS]
    return Step("features.h5", MISSING, " ".join(command))


def _settings(folder: Path) -> ExtractConfig:
    return from_dict(ExtractConfig, read_json(folder / CONFIG, "extract"))


def _paths(run: Path) -> dict[str, Any]:
    """Return the paths of data and reviews, which are in config.json but not in features.h5."""
    config = read_json(run / CONFIG, "extract")
    return {name: config.get(name) for name in ("data", "add")}


def _changed_flags(config: ExtractConfig) -> str:
    default = to_dict(ExtractConfig())
    changed = {k: v for k, v in to_dict(config).items() if v != default[k]}
    flags = [
        flag(key) if one is True else f"{flag(key)} {argument(str(one))}"
        for key, value in changed.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return " ".join(flags) or ALL_DEFAULTS


def _data_step(config: ExtractConfig, fingerprint: str, run: Path) -> Step:
    data = Path(config.data) if config.data else run / "sample"
    try:
        now = _fingerprint(config, data, run / PICTURES)
    except UserError as error:
        return Step("data", STALE, f"can no longer be read: {error}")
    if now == fingerprint:
        return Step("data", DONE, f"{data} has not changed since extract")
    change = f"{data} has other rows, captions, labels or pictures than features.h5"
    return Step("data", STALE, f"{change}: run extract --force, then fit-heads")


def _fingerprint(config: ExtractConfig, data: Path, unpack_to: Path) -> str:
    """Return the fingerprint of the data now. It does not depend on the size of the pictures."""
    options = replace(table_options(config), unpack_to=unpack_to)
    table, problems, _ = read_memes(data, options)
    pictures, undecodable = decode_pictures(table, THUMBNAIL_SIZE, "bilinear")
    table, positions = resolve_bad_rows(table, problems + undecodable, config.on_bad_rows)
    pictures = replace(pictures, index=pictures.index[positions])
    if options.shares and config.read_captions:
        # Near-duplicates, which are never divided, depend on what is read.
        table, _ = read_captions(table, pictures)
    if not options.shares and not config.add:
        return data_fingerprint(table, pictures)
    # Imports torch and scikit-learn, which the status of most runs does not need.
    from extract.data.decided_rows import train_on_decisions
    from extract.data.load_data import without_captions
    from extract.folds.random_split import divide_rows

    loaded = without_captions(table, pictures)
    if options.shares:
        loaded = divide_rows(loaded, options.shares, config.seed)
    return train_on_decisions(loaded).fingerprint()


def _backbones_step(run: Path, names: list[str], stamp: str) -> Step:
    folders = {name: run / "backbones" / name for name in names}
    missing = [name for name, folder in folders.items() if not holds_checkpoint(folder, stamp)]
    if missing:
        detail = f"{', '.join(missing)}: missing, or not those of features.h5; run extract"
        return Step("backbones", STALE, detail)
    return Step("backbones", DONE, "those of features.h5")


def _unfinished_spaces(folder: Path) -> Iterator[Step]:
    """Yield the state of each space of an extraction that is running or was interrupted."""
    # Imports torch, which the status of a finished run does not need.
    from extract.spaces.fine_tuned import STATE_SUFFIX
    from extract.spaces.space_registry import space_names
    from extract.training.resume_training import epochs_done

    config = _settings(folder)
    for name in space_names(config):
        state = folder / f"{name}{STATE_SUFFIX}"
        if holds_checkpoint(folder / name, folder.name):
            yield Step(name, DONE, "complete; extract with the same flags creates the others")
        elif state.is_file():
            done = epochs_done(state)
            yield Step(name, BEGUN, f"trained for {done} of up to {config.epochs} epochs")
        else:
            yield Step(name, MISSING, "run extract")
