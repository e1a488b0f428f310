"""Load everything that the spaces of a run are created from: settings, device, weights and data."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from extract.config import ExtractConfig
from extract.data.columns import Columns
from extract.data.load_data import LoadedData, load_data
from extract.data.read_memes import read_memes
from extract.folds.fold_assignment import assign_folds, plan_fold
from extract.folds.near_duplicates import group_near_duplicates
from extract.sample import write_sample
from extract.spaces.linear_probe import ProbeEmbeddings, embed_for_probe
from extract.towers.device import Machine
from extract.towers.joint_model import JointModel
from extract.towers.pretrained_weights import Backbones, load_backbones
from extract.training import distributed
from features.feature_table import Rows
from runtime.atomic_files import remove_folder
from runtime.config_fields import to_dict
from runtime.progress import log


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

    @cached_property
    def rows(self) -> Rows:
        """Id, split, label, near-duplicate group and fold of each meme.

        Computed on first use, because finding near-duplicates in a large table takes minutes and a
        run that is up to date does not need it.
        """
        return _rows(self.data, self.config)

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


def load_setup(config: ExtractConfig, machine: Machine, run: Path) -> Setup:
    """Load the weights and read the data. Writes nothing except the built-in sample.

    Raises UserError for bad data or settings.
    """
    backbones = load_backbones(
        config.weights,
        config.image_weights,
        config.text_weights,
        config.text_pooling,
        config.image_revision,
        config.text_revision,
    )
    loaded = _load_data(config, run, backbones)
    loaded = replace(loaded, inputs=loaded.inputs.to_device(machine.device))
    return Setup(config, machine, backbones, loaded, identify(config, backbones, loaded), run)


def resolve(config: ExtractConfig) -> ExtractConfig:
    """Fill in the default of `weights`: bundled for the built-in sample, hub for other data."""
    return replace(config, weights=config.weights or ("hub" if config.data else "bundled"))


def identify(config: ExtractConfig, backbones: Backbones, loaded: LoadedData) -> dict[str, Any]:
    """Return what determines features.h5: equal settings, data and weights give equal features.

    The path of the data is left out.
    """
    return {
        "config": {**to_dict(config), "data": None},
        "fingerprint": loaded.fingerprint(),
        "weights": [backbones.image_origin["revision"], backbones.text_origin["revision"]],
    }


def stamp(made_from: dict[str, Any]) -> str:
    """Return a short hash of what `identify` returned: the identity of an extraction."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def check_folds(setup: Setup) -> None:
    """Raise UserError if a fold cannot be left out. Call it before hours of training."""
    for fold in range(setup.config.folds):
        plan_fold(setup.rows, fold, setup.config)


def columns_named(config: ExtractConfig) -> Columns:
    """Return the column names given by flags."""
    return Columns(
        config.id_column,
        config.image_column,
        config.text_column,
        config.label_column,
        config.split_column,
    )


def _load_data(config: ExtractConfig, run: Path, backbones: Backbones) -> LoadedData:
    data = Path(config.data) if config.data else _sample(run / "sample", config)
    return load_data(
        read_memes(data, columns_named(config)),
        config.image_size,
        backbones.image.interpolation,
        config.max_tokens,
        backbones.text,
        config.on_bad_rows,
    )


def _sample(folder: Path, config: ExtractConfig) -> Path:
    """Generate the sample again: it takes seconds, and an existing one may be partial or edited."""
    if distributed.first():
        remove_folder(folder)
        log(f"writing {config.sample_memes} sample memes to {folder}")
        write_sample(folder, config.sample_memes, config.seed)
    distributed.barrier()
    return folder


def _rows(loaded: LoadedData, config: ExtractConfig) -> Rows:
    rows = loaded.table.rows
    split, label = rows["split"].to_numpy(dtype=object), rows["label"].to_numpy()
    group = group_near_duplicates(loaded.table, loaded.inputs.pictures)
    fold = assign_folds(split, label, group, config.folds, config.seed)
    return Rows(
        rows["id"].to_numpy(dtype=object), split, label, group, fold, rows["order"].to_numpy()
    )
