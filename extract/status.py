"""What stage one has made of a run, and whether its data are still as they were."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from extract.config import ExtractConfig
from extract.data.bad_rows import resolve_bad_rows
from extract.data.batches import Inputs
from extract.data.image_decoding import decode_pictures
from extract.data.load_data import Prepared
from extract.data.read_memes import read_memes
from extract.data.tokenisation import Captions
from extract.doctor.check_rows import THUMBNAIL_SIZE
from extract.run import CONFIG
from extract.spaces.all_spaces import space_names
from extract.spaces.checkpoint import holds_checkpoint
from extract.spaces.fine_tuned import STATE_SUFFIX
from extract.spaces.run_setup import columns_named
from extract.training.resume_training import epochs_done
from features.hdf5_store import read_attributes, read_space_names
from runtime.errors import UserError
from runtime.json_files import read_json
from runtime.lock import lock_holder
from runtime.run_steps import BEGUN, DONE, MISSING, STALE, Step, steps_or_error
from runtime.settings import flag, from_dict, to_dict

PLAIN = "all by default"


def steps_of_stage_one(run: Path) -> Iterator[Step]:
    """Yield who is at work, spaces under way, data, backbones, features.h5: those there are."""
    features = run / "features.h5"
    if holder := lock_holder(run):
        yield Step("at work", BEGUN, holder)
    begun = [path.parent for path in sorted(run.glob(f"unfinished/*/{CONFIG}"))]
    for folder in begun:
        yield from steps_or_error("spaces", lambda folder=folder: _spaces(folder))
    if not features.is_file():
        yield from steps_or_error("features.h5", lambda: [_missing(run, begun)])
        return
    try:
        attributes, names = read_attributes(features), read_space_names(features)
        config = from_dict(ExtractConfig, {**attributes["config"], **_where(run)})
    except UserError as error:
        yield Step("features.h5", STALE, str(error))
        return
    yield _data(config, attributes["fingerprint"], run)
    yield _backbones(run, names, attributes["stamp"])
    yield Step("features.h5", DONE, f"spaces {', '.join(names)}; {_changed(config)}")


def _missing(run: Path, begun: list[Path]) -> Step:
    """Which extract goes on; one with other flags would throw away what is finished."""
    flags = [_changed(_settings(folder)) for folder in begun[:1]]
    words = ["python pipeline.py extract", f"--run {run.name}", *(f for f in flags if f != PLAIN)]
    return Step("features.h5", MISSING, " ".join(words))


def _settings(folder: Path) -> ExtractConfig:
    return from_dict(ExtractConfig, read_json(folder / CONFIG, "extract"))


def _where(run: Path) -> dict[str, str | None]:
    """Where the data were: features.h5 does not say, as it does not depend on it."""
    return {"data": read_json(run / "config.json", "extract").get("data")}


def _changed(config: ExtractConfig) -> str:
    plain = to_dict(ExtractConfig())
    changed = {k: v for k, v in to_dict(config).items() if v != plain[k]}
    return " ".join(f"{flag(key)} {value}" for key, value in changed.items()) or PLAIN


def _data(config: ExtractConfig, fingerprint: str, run: Path) -> Step:
    data = Path(config.data) if config.data else run / "sample"
    try:
        now = _fingerprint(config, data)
    except UserError as error:
        return Step("data", STALE, f"can no longer be read: {error}")
    if now == fingerprint:
        return Step("data", DONE, f"{data} is as it was when it was extracted")
    said = f"{data} has other rows, captions, labels or pictures than were extracted"
    return Step("data", STALE, f"{said}: extract --force makes features.h5 and heads anew")


def _fingerprint(config: ExtractConfig, data: Path) -> str:
    """Of the data as they are now; pictures are decoded small, which it does not depend on."""
    table, problems, _ = read_memes(data, columns_named(config))
    pictures, undecodable = decode_pictures(table, THUMBNAIL_SIZE, "bilinear")
    table, kept = resolve_bad_rows(table, problems + undecodable, config.on_bad_rows)
    index = pictures.index[kept]
    inputs = Inputs(replace(pictures, index=index), Captions([], index, pad_id=0, cut=0))
    return Prepared(table, inputs, []).fingerprint()


def _backbones(run: Path, names: list[str], stamp: str) -> Step:
    folders = {name: run / "backbones" / name for name in names}
    lost = [name for name, folder in folders.items() if not holds_checkpoint(folder, stamp)]
    if lost:
        return Step("backbones", STALE, f"{', '.join(lost)}: not those of features.h5; extract")
    return Step("backbones", DONE, "those that features.h5 was made with")


def _spaces(folder: Path) -> Iterator[Step]:
    """The spaces of an extraction that was broken off, or is under way."""
    config = _settings(folder)
    for name in space_names(config):
        state = folder / f"{name}{STATE_SUFFIX}"
        if holds_checkpoint(folder / name, folder.name):
            yield Step(name, DONE, "waits for the others; the same extract goes on")
        elif state.is_file():
            done = epochs_done(state)
            yield Step(name, BEGUN, f"trained for {done} of up to {config.epochs} epochs")
        else:
            yield Step(name, MISSING, "extract makes it")
