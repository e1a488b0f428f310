"""Predict new memes with a run's saved heads and ensemble."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from features.feature_table import FeatureTable
from heads.decision.calibration import Calibration
from heads.ensemble.combining import combine
from heads.ensemble.ensemble import adjust_probabilities
from heads.ensemble.saved_ensemble import read_ensemble
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
from heads.fitting.saved_heads import HeadRecord, load_models, read_probabilities, read_records
from heads.fitting.space_blending import apply_blend
from heads.registry import ENTRIES
from runtime.errors import UserError


def score_memes(table: FeatureTable, run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Predict probability float64 (N,) and label bool (N,) of every row, as `submit` would.

    `table` holds the memes' embeddings in each space of the run. Raises UserError if the heads or
    the ensemble were fitted on other features.
    """
    heads, stamp = run / "heads", table.attributes["stamp"]
    records = {record.name: record for record in read_records(heads, stamp)}
    ensemble = read_ensemble(heads)
    members = [name for name, weight in ensemble.weights.items() if weight > 0]
    needed = {head for name in members for head in (name, *fitted_parents(name, table))}
    if ensemble.stamp != stamp or not records.keys() >= needed:
        raise UserError(
            f"{heads / 'ensemble.json'} was built from other heads than the run has now. "
            "Run: python pipeline.py submit"
        )
    _require_spaces(table, [records[name] for name in needed], run)
    predict = _head_predictor(table, run, records)
    probability = np.stack([_blend(records[name], predict(name)) for name in members])
    held_out = np.stack([read_probabilities(heads / name).held_out for name in members])
    reference = held_out[:, ~np.isnan(held_out).any(axis=0)]
    thresholds = np.array([[records[name].threshold["value"]] for name in members])
    weights = np.array([ensemble.weights[name] for name in members])
    score = combine(ensemble.kind, probability, weights, reference, thresholds)
    calibrated = Calibration(**ensemble.calibration).apply(score)
    final = adjust_probabilities(
        calibrated, ensemble.offset, ensemble.trained_prior, ensemble.prior
    )
    return final, final > ensemble.threshold["value"]


def _require_spaces(table: FeatureTable, records: list[HeadRecord], run: Path) -> None:
    """Raise UserError if the table lacks a space that a head was fitted in."""
    fitted = {space for record in records for kind in record.kinds for space in kind["spaces"]}
    missing = sorted(fitted - {LOGITS, LABEL_FREE} - {space.name for space in table.spaces})
    if missing:
        raise UserError(
            f"{run / 'backbones'} lacks {', '.join(missing)}, in which heads were fitted. "
            "Run with the same flags as before: python pipeline.py extract, fit-heads and submit"
        )


def _head_predictor(
    table: FeatureTable, run: Path, records: dict[str, HeadRecord]
) -> Callable[[str], dict[str, np.ndarray]]:
    """Return a cached f(head name) -> its probabilities float64 (N,) by kind of space."""
    projections = read_projections(run, table)
    projected = {
        space.name: Projected(
            projections[space.name].apply(space.image, space.text),
            projections[space.name].image_width,
        )
        for space in table.spaces
    }
    no_row = np.zeros(len(table), dtype=bool)
    heads = run / "heads"

    @cache
    def predict(name: str) -> dict[str, np.ndarray]:
        entry = ENTRIES[name]
        if entry.parents:
            parents = [p for n in fitted_parents(name, table) for p in predict(n).values()]
            inputs = {LOGITS: [logit_inputs(parents, no_row, no_row)]}
        else:
            inputs = inputs_by_kind(entry, table, projected, no_row)
        return {
            kind: average_predictions(
                load_models(heads / name, records[name], kind), spaces, ~no_row
            )
            for kind, spaces in inputs.items()
        }

    return predict


def _blend(record: HeadRecord, by_kind: dict[str, np.ndarray]) -> np.ndarray:
    """Calibrate and blend the probabilities of each kind of space: float64 (N,)."""
    calibrations = {kind["name"]: Calibration(**kind["calibration"]) for kind in record.kinds}
    return apply_blend(record.blend, calibrations, by_kind)
