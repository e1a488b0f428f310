"""Predict new memes with a run's saved heads and ensemble."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from features.feature_table import FeatureTable
from heads.config import SUBMITTED, TRAINED
from heads.decision.calibration import Calibration
from heads.ensemble.combining import combine
from heads.ensemble.ensemble import adjust_probabilities
from heads.ensemble.saved_ensemble import EnsembleRecord, ensemble_checksum, read_ensemble
from heads.fitting.cross_validation import average_predictions
from heads.fitting.head_inputs import (
    LABEL_FREE,
    LOGITS,
    Projected,
    fitted_parents,
    inputs_by_kind,
    logit_inputs,
    read_projections,
)
from heads.fitting.pca_projection import Projection
from heads.fitting.saved_heads import HeadRecord, load_models, read_probabilities, read_records
from heads.fitting.space_blending import apply_blend
from heads.registry import ENTRIES
from runtime.errors import UserError


@dataclass(frozen=True)
class Scorer:
    """A run's saved heads and ensemble, loaded once. Threads may share it."""

    run: Path
    stamp: str
    records: dict[str, HeadRecord]
    ensemble: EnsembleRecord
    members: list[str]
    """The heads that the ensemble uses."""
    reference: np.ndarray
    """float64 (members, R): held-out probabilities, for ensembles of ranks."""
    held_out_rows: np.ndarray
    """int64 (R,): the rows of features.h5 of `reference`."""
    projections: dict[str, Projection]
    models: Callable[[str, str], dict[str, list[Any]]]
    """f(head, kind of space) -> its models by space."""
    ensemble_checksum: str
    """Identity of the heads and the ensemble."""

    @property
    def threshold(self) -> float:
        """A meme is positive if its probability is larger."""
        return self.ensemble.threshold["value"]

    def load_models(self) -> None:
        """Load the models of all members and their parents now, not when they are first used."""
        for name in {
            head for member in self.members for head in (member, *ENTRIES[member].parents)
        }:
            for kind in self.records[name].kinds if name in self.records else ():
                self.models(name, kind["name"])

    def score(self, table: FeatureTable, prior: float | str = SUBMITTED) -> np.ndarray:
        """Predict the probability of every row: float64 (N,).

        `table` holds the memes' embeddings in each space of the run. `prior` is the share of
        positives among memes like these, SUBMITTED or TRAINED. Raises UserError if the heads were
        fitted on other features.
        """
        needed = {head for name in self.members for head in (name, *fitted_parents(name, table))}
        if self.stamp != table.attributes["stamp"] or not self.records.keys() >= needed:
            raise UserError(
                f"{self.run / 'heads' / 'ensemble.json'} was built from other heads than the run "
                "has now. Run: python pipeline.py submit"
            )
        _require_spaces(table, [self.records[name] for name in needed], self.run)
        predict = self._head_predictor(table)
        by_head = np.stack([_blend(self.records[name], predict(name)) for name in self.members])
        return self.adjust(self._combine(by_head), prior)

    def score_held_out(self) -> np.ndarray:
        """Return the probability of each row of `held_out_rows` with the prior TRAINED: float64.

        The members' probabilities are held out, and combined as those of new memes are.
        """
        return self._combine(self.reference)

    def _combine(self, by_head: np.ndarray) -> np.ndarray:
        """Combine and calibrate the members' probabilities, float64 (members, N): float64 (N,)."""
        thresholds = np.array([[self.records[name].threshold["value"]] for name in self.members])
        weights = np.array([self.ensemble.weights[name] for name in self.members])
        score = combine(self.ensemble.kind, by_head, weights, self.reference, thresholds)
        return Calibration(**self.ensemble.calibration).apply(score)

    def adjust(self, trained: np.ndarray, prior: float | str) -> np.ndarray:
        """Move probabilities (N,) that were scored with the prior TRAINED to another one."""
        ensemble = self.ensemble
        if prior == TRAINED:
            return trained
        offset, target = (ensemble.offset, ensemble.prior) if prior == SUBMITTED else (0.0, prior)
        return adjust_probabilities(trained, offset, ensemble.trained_prior, target)

    def _head_predictor(self, table: FeatureTable) -> Callable[[str], dict[str, np.ndarray]]:
        """Return a cached f(head name) -> its probabilities float64 (N,) by kind of space."""
        projected = {
            space.name: Projected(
                self.projections[space.name].apply(space.image, space.text),
                self.projections[space.name].image_width,
            )
            for space in table.spaces
        }
        no_row = np.zeros(len(table), dtype=bool)

        @cache
        def predict(name: str) -> dict[str, np.ndarray]:
            entry = ENTRIES[name]
            if entry.parents:
                parents = [p for n in fitted_parents(name, table) for p in predict(n).values()]
                inputs = {LOGITS: [logit_inputs(parents, no_row, no_row)]}
            else:
                inputs = inputs_by_kind(entry, table, projected, no_row)
            return {
                kind: average_predictions(self.models(name, kind), spaces, ~no_row)
                for kind, spaces in inputs.items()
            }

        return predict


def load_scorer(run: Path, stamp: str) -> Scorer:
    """Load the heads and the ensemble of a run, which were fitted on the features `stamp`.

    A head's models are loaded when they are first used. Raises UserError if there are none, or if
    they belong to other features.
    """
    heads = run / "heads"
    records = {record.name: record for record in read_records(heads, stamp)}
    ensemble = read_ensemble(heads)
    members = [name for name, weight in ensemble.weights.items() if weight > 0]
    if not records.keys() >= set(members):
        raise UserError(
            f"{heads / 'ensemble.json'} was built from other heads than the run has now. "
            "Run: python pipeline.py submit"
        )
    held_out = np.stack([read_probabilities(heads / name).held_out for name in members])

    known = ~np.isnan(held_out).any(axis=0)

    @cache
    def models(name: str, kind: str) -> dict[str, list[Any]]:
        return load_models(heads / name, records[name], kind)

    return Scorer(
        run,
        ensemble.stamp,
        records,
        ensemble,
        members,
        held_out[:, known],
        np.flatnonzero(known),
        read_projections(run),
        models,
        ensemble_checksum(run),
    )


def _require_spaces(table: FeatureTable, records: list[HeadRecord], run: Path) -> None:
    """Raise UserError if the table lacks a space that a head was fitted in."""
    fitted = {space for record in records for kind in record.kinds for space in kind["spaces"]}
    missing = sorted(fitted - {LOGITS, LABEL_FREE} - {space.name for space in table.spaces})
    if missing:
        raise UserError(
            f"{run / 'backbones'} lacks {', '.join(missing)}, in which heads were fitted. "
            "Run with the same flags as before: python pipeline.py run"
        )


def _blend(record: HeadRecord, by_kind: dict[str, np.ndarray]) -> np.ndarray:
    """Calibrate and blend the probabilities of each kind of space: float64 (N,)."""
    calibrations = {kind["name"]: Calibration(**kind["calibration"]) for kind in record.kinds}
    return apply_blend(record.blend, calibrations, by_kind)
