"""A finished run, as the report reads it: what extract, fit-heads and submit left in its folder."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.feature_table import FeatureTable, Space
from features.hdf5_store import read_features
from heads.decision.prior_shift import class_weights
from heads.ensemble.ensemble import Ensemble
from heads.ensemble.saved_ensemble import read_ensemble, read_ensembled
from heads.evaluation.bootstrap import resampling_weights
from heads.fitting.head_inputs import Projected, project
from heads.fitting.saved_heads import HeadRecord, read_probabilities, read_records
from heads.registry import REFERENCES
from runtime.errors import UserError, damage_named
from runtime.json_files import read_json

REMAKE = "Delete it and run, with the flags of before: python pipeline.py extract"

ENSEMBLE = "ensemble"

PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Contender:
    """A head or the ensemble: what it says of every row, and what that is worth."""

    name: str
    held_out: np.ndarray
    """float64 (N,): NaN off the rows that are reported on."""
    final: np.ndarray
    """float64 (N,)."""
    row_threshold: np.ndarray
    """float64 (N,): tuned without the row's part."""
    threshold: dict[str, Any]
    scores: dict[str, Any]
    record: HeadRecord | None = None
    """None for the ensemble."""

    def auroc(self, rows: str = "held_out") -> dict[str, Any] | None:
        """Value and interval on `held_out` or `test` rows; None if it is undefined there."""
        return self.scores[rows] and self.scores[rows]["auroc"]


@dataclass(frozen=True)
class Meme:
    """What a person sees."""

    id: str
    caption: str
    image: str
    """Path of the picture; empty if it was missing already when the run was made."""


@dataclass(frozen=True)
class FinishedRun:
    """Everything that the report shows."""

    folder: Path
    table: FeatureTable
    ensemble: Ensemble
    contenders: dict[str, Contender]
    """By name: the ensemble, then the heads in the order of the registry."""
    memes: list[Meme]
    """In the order of the table's rows."""
    data: dict[str, Any]
    """data.json."""
    check: list[dict[str, Any]] | None
    """The checks of check.json, if the run has been checked."""

    @property
    def seed(self) -> int:
        """Of the run; resamples are drawn with it too."""
        return self.table.attributes["config"]["seed"]

    @cached_property
    def held_out(self) -> np.ndarray:
        """Numbers of the rows that every contender has a held-out probability of."""
        unknown = np.any([np.isnan(one.held_out) for one in self.contenders.values()], axis=0)
        return np.flatnonzero(~unknown)

    @cached_property
    def test(self) -> np.ndarray:
        """Numbers of the test rows whose label is known."""
        rows = self.table.rows
        return np.flatnonzero((rows.split == "test") & (rows.label >= 0))

    def resamples(self, places: np.ndarray) -> np.ndarray:
        """Bootstrap weights of the rows `places`, by group: the ones that metrics.json is from."""
        return resampling_weights(self.table.rows.group[places], self.seed)

    @cached_property
    def weight(self) -> np.ndarray:
        """float64 (N,): how much a row counts, all alike unless submit was given a prior."""
        label, prior = self.table.rows.label, self.ensemble.prior
        if prior is None:
            return np.ones(len(label))
        return class_weights(label, self.ensemble.trained_prior, prior)

    def heads(self, member: bool | None = None) -> list[Contender]:
        """The heads; only members of the ensemble's choice, or only the others, if asked."""
        heads = [one for one in self.contenders.values() if one.record]
        return [one for one in heads if member is None or one.record.member == member]

    def best_head(self) -> Contender:
        """The head offered to the ensemble that has the highest AUROC on held-out rows."""
        return max(self.heads(member=True), key=lambda one: one.auroc()["value"])

    def best_modality(self) -> Contender:
        """What knows one modality only and does best on held-out rows."""
        alone = [self.contenders[name] for name in REFERENCES]
        return max(alone, key=lambda one: one.auroc()["value"])

    def common_space(self) -> Space:
        """The space in which any two memes can be compared."""
        spaces = {space.name: space for space in self.table.spaces}
        return spaces.get(PRETRAINED, self.table.spaces[0])

    def projected(self, space: Space) -> np.ndarray:
        """float32 (N, columns): what heads are given of a space."""
        return self._projected[space.name].X

    @cached_property
    def _projected(self) -> dict[str, Projected]:
        return project(self.table, self.folder)


def read_run(folder: Path) -> FinishedRun:
    """Read a run. Raises UserError, which names the command to run, if something is missing."""
    table = read_features(folder / "features.h5", embeddings=False)
    heads, stamp = folder / "heads", table.attributes["stamp"]
    records = read_records(heads, stamp)
    ensemble = read_ensemble(heads)
    data = read_json(folder / "data.json", "extract")
    for path, found in (("heads/ensemble.json", ensemble.stamp), ("data.json", data.get("stamp"))):
        if found != stamp:
            made_by = "extract" if path == "data.json" else "submit"
            raise UserError(
                f"{folder / path} was made from other features than features.h5 holds now. "
                f"Run: python pipeline.py {made_by}"
            )
    contenders = [_ensemble(ensemble, heads), *(_head(record, heads) for record in records)]
    return FinishedRun(
        folder=folder,
        table=table,
        ensemble=ensemble,
        contenders={one.name: one for one in contenders},
        memes=_memes(folder / "memes.jsonl", table),
        data=data,
        check=_check(folder / "check.json"),
    )


def _ensemble(ensemble: Ensemble, heads: Path) -> Contender:
    said = asdict(read_ensembled(heads))
    return Contender(ENSEMBLE, **said, threshold=ensemble.threshold, scores=ensemble.scores)


def _head(record: HeadRecord, heads: Path) -> Contender:
    said = read_probabilities(heads / record.name)
    return Contender(
        record.name,
        said.held_out,
        said.final,
        said.row_threshold,
        record.threshold,
        record.scores,
        record,
    )


def _memes(path: Path, table: FeatureTable) -> list[Meme]:
    with damage_named(path, REMAKE):
        # Not splitlines: captions may hold line separators that JSON leaves as they are.
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        memes = [Meme(line["id"], line["caption"], line["image"]) for line in lines]
    if [meme.id for meme in memes] != table.rows.id.tolist():
        raise UserError(f"{path} lists other memes than features.h5. {REMAKE}")
    return memes


def _check(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    with damage_named(path, "Run: python pipeline.py check"):
        return read_json(path, "check")["checks"]
