"""Load everything that the spaces of a run are created from: settings, device, weights and data."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from extract.config import PICTURES, ExtractConfig
from extract.data.decided_rows import train_on_decisions
from extract.data.load_data import LoadedData, load_data
from extract.data.ngrams import LexicalEncoder, fit_lexical
from extract.data.read_captions import load_reader
from extract.folds.fold_assignment import assign_folds, folds_advice, plan_fold
from extract.folds.near_duplicates import Grouping, group_near_duplicates
from extract.folds.random_split import describe, divide_rows
from extract.frozen_sources import FrozenSource, parse_frozen
from extract.sample import write_sample
from extract.tables.read_memes import ReadResult, read_memes
from extract.tables.table_options import table_options
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones, find_model, load_backbones
from extract.training import distributed
from extract.training.embedding import Embed
from extract.training.linear_probe import ProbeEmbeddings, embed_for_probe
from features.feature_table import Rows
from runtime.config_fields import to_dict
from runtime.errors import UserError
from runtime.files.atomic_files import remove_folder
from runtime.progress import log


class FrozenModel(NamedTuple):
    """A model of `--frozen`: the flag, the model's folder, and its name and revision."""

    source: FrozenSource
    folder: Path
    origin: dict[str, str]


@dataclass(frozen=True)
class Setup:
    """Everything that exists before the first space is created."""

    config: ExtractConfig
    machine: Machine
    backbones: Backbones
    """As downloaded. Only copies of them are trained."""
    data: LoadedData
    made_from: dict[str, Any]
    """What `identify` returns: settings, fingerprint of the data, revisions of the weights."""
    run: Path
    frozen: dict[str, FrozenModel]
    """The models of `--frozen`, by the name of their space."""
    embed_elsewhere: Embed | None = None
    """Embeds all rows in other processes; None: in this one and the other ranks."""

    @cached_property
    def rows(self) -> Rows:
        """Id, split, label, near-duplicate group and fold of each meme.

        Computed on first use: near-duplicates take minutes in a table of a million memes, and a run
        that is up to date does not need them.
        """
        return _rows(self.data, self.grouping.group, self.config)

    @cached_property
    def grouping(self) -> Grouping:
        """Groups of near-duplicates."""
        return group_near_duplicates(self.data.table, self.data.inputs.pictures)

    @cached_property
    def lexical_encoder(self) -> LexicalEncoder | None:
        """N-grams of the captions of train and val rows; None if these have too little in common.

        Only these captions are used, as those of test rows are unknown when a model is deployed.
        """
        captions = self.data.captions()
        labelled = [captions[row] for row in np.flatnonzero(self.rows.labelled)]
        return fit_lexical(labelled, self.config.seed)

    @cached_property
    def probe_embeddings(self) -> ProbeEmbeddings:
        """Embeddings by the towers as downloaded, from which every fine-tuning starts."""
        model = JointModel(*self.backbones.copy_encoders(), None, self.machine)
        return embed_for_probe(model, self.data.inputs, self.rows.labelled)

    @property
    def stamp(self) -> str:
        """Short hash of `made_from`."""
        return stamp(self.made_from)

    @property
    def folder(self) -> Path:
        """Folder of the finished spaces, until all are joined."""
        return self.run / "unfinished" / self.stamp


def load_setup(
    config: ExtractConfig, machine: Machine, run: Path, elsewhere: Embed | None = None
) -> Setup:
    """Load the weights and read the data. Writes nothing except the built-in sample and pictures.

    Raises UserError for bad data or settings, and then leaves no pictures that it unpacked.
    """
    with _new_folder_removed_if_refused(run / PICTURES):
        return _load_setup(config, machine, run, elsewhere)


def _load_setup(
    config: ExtractConfig, machine: Machine, run: Path, elsewhere: Embed | None
) -> Setup:
    # Packages and data first: loading or downloading weights takes long.
    if config.read_captions:
        load_reader()
    reading = _read_data(config, run)
    backbones = load_backbones(
        config.weights,
        config.image_weights,
        config.text_weights,
        config.text_pooling,
        config.image_revision,
        config.text_revision,
    )
    frozen = find_frozen_models(config)
    loaded = _load_data(reading, config, backbones)
    loaded = replace(loaded, inputs=loaded.inputs.to_device(machine.device))
    made_from = identify(config, backbones, frozen, loaded)
    return Setup(config, machine, backbones, loaded, made_from, run, frozen, elsewhere)


@contextmanager
def _new_folder_removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove `folder`, and its parent if empty, if the block created it and raises UserError."""
    existed = folder.exists()
    try:
        yield
    except UserError:
        if not existed and distributed.first():
            remove_folder(folder)
            with suppress(OSError):  # not empty, or not there
                folder.parent.rmdir()
        raise


def find_frozen_models(config: ExtractConfig, cached_only: bool = False) -> dict[str, FrozenModel]:
    """Find, download or unpack the models of `--frozen`; load none. `cached_only`: no download."""
    return {
        source.name: FrozenModel(source, *find_model(source.model, "--frozen", cached_only))
        for source in parse_frozen(config.frozen)
    }


def resolve(config: ExtractConfig) -> ExtractConfig:
    """Fill in the default of `weights`: bundled for the built-in sample, hub for other data.

    Also sorts `frozen`, as the order of these flags means nothing.
    """
    weights = config.weights or ("hub" if config.data else "bundled")
    frozen = sorted(source.flag for source in parse_frozen(config.frozen)) or None
    return replace(config, weights=weights, frozen=frozen)


def identify(
    config: ExtractConfig,
    backbones: Backbones,
    frozen: dict[str, FrozenModel],
    loaded: LoadedData,
) -> dict[str, Any]:
    """Return what determines features.h5: equal settings, data and weights give equal features.

    The paths of the data and of reviews are left out, and so is the column of slices, which no
    model sees.
    """
    settings = {**to_dict(config), "data": None}
    del settings["group_column"], settings["add"]
    return {
        "config": settings,
        "fingerprint": loaded.fingerprint(),
        "weights": [backbones.image_origin["revision"], backbones.text_origin["revision"]],
        "frozen": {name: model.origin["revision"] for name, model in frozen.items()},
    }


def stamp(made_from: dict[str, Any]) -> str:
    """Return a short hash of what `identify` returned: the identity of an extraction."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def check_folds(setup: Setup) -> None:
    """Raise UserError if a fold cannot be left out. Call it before hours of training."""
    rows, config = setup.rows, setup.config
    try:
        for fold in range(config.folds):
            plan_fold(rows, fold, config)
    except UserError as error:
        advice = folds_advice(rows.split, rows.label, rows.group, config)
        raise UserError(f"{error} {advice}") from error


def _read_data(config: ExtractConfig, run: Path) -> ReadResult:
    data = Path(config.data) if config.data else _sample(run / "sample", config)
    return read_memes(data, replace(table_options(config), unpack_to=run / PICTURES))


def _load_data(reading: ReadResult, config: ExtractConfig, backbones: Backbones) -> LoadedData:
    loaded = load_data(
        reading,
        config.image_size,
        backbones.image.interpolation,
        config.max_tokens,
        backbones.text,
        config.on_bad_rows,
        config.read_captions,
    )
    shares = table_options(config).shares
    if shares is not None:
        loaded = divide_rows(loaded, shares, config.seed)
        remark = describe(loaded, config.seed)
        log(remark)
        loaded = replace(loaded, remarks=[*loaded.remarks, remark])
    return train_on_decisions(loaded)


def _sample(folder: Path, config: ExtractConfig) -> Path:
    """Generate the sample again: it takes seconds, and an existing one may be partial or edited."""
    if distributed.first():
        remove_folder(folder)
        log(f"writing {config.sample_memes} sample memes to {folder}")
        write_sample(folder, config.sample_memes, config.seed)
    distributed.barrier()
    return folder


def _rows(loaded: LoadedData, group: np.ndarray, config: ExtractConfig) -> Rows:
    rows = loaded.table.rows
    split, label = rows["split"].to_numpy(dtype=object), rows["label"].to_numpy()
    try:
        fold = assign_folds(split, label, group, config.folds, config.seed)
    except UserError as error:
        raise UserError(f"{error} {folds_advice(split, label, group, config)}") from error
    return loaded.rows(group, fold)
