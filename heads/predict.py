"""New memes through a run's saved heads, thresholds and ensemble."""

from functools import cache
from pathlib import Path

import numpy as np

from features.feature_table import FeatureTable
from heads.decision.calibration import Calibration
from heads.ensemble.combining import combine
from heads.ensemble.ensemble import finish
from heads.ensemble.saved_ensemble import read_ensemble
from heads.fitting.cross_validation import mean_of_fits
from heads.fitting.head_inputs import LOGITS, Projected, columns_of, logit_columns, read_projections
from heads.fitting.saved_heads import HeadRecord, load_models, read_probabilities, read_records
from heads.fitting.space_blending import apply_blend
from heads.registry import ENTRIES
from runtime.errors import UserError


def score_memes(table: FeatureTable, run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probability float64 (N,) and decision bool (N,) of every row, as `submit` would give them.

    `table` holds the memes embedded in each space of the run. Raises UserError if the heads, or the
    ensemble, were made from other features.
    """
    heads, stamp = run / "heads", table.attributes["stamp"]
    records = {record.name: record for record in read_records(heads, stamp)}
    ensemble = read_ensemble(heads)
    kept = [name for name, weight in ensemble.weights.items() if weight > 0]
    needed = {one for name in kept for one in (name, *ENTRIES[name].parents)}
    if ensemble.stamp != stamp or not records.keys() >= needed:
        raise UserError(
            f"{heads / 'ensemble.json'} was made from other heads than the run has now. "
            "Run: python pipeline.py submit"
        )
    _require_spaces(table, [records[name] for name in needed], run)
    says = _speaker(table, run, records)
    probability = np.stack([_blended(records[name], says(name)) for name in kept])
    held_out = np.stack([read_probabilities(heads / name).held_out for name in kept])
    reference = held_out[:, ~np.isnan(held_out).any(axis=0)]
    thresholds = np.array([[records[name].threshold["value"]] for name in kept])
    weights = np.array([ensemble.weights[name] for name in kept])
    score = combine(ensemble.kind, probability, weights, reference, thresholds)
    calibrated = Calibration(**ensemble.calibration).apply(score)
    together = finish(calibrated, ensemble.offset, ensemble.trained_prior, ensemble.prior)
    return together, together > ensemble.threshold["value"]


def _require_spaces(table: FeatureTable, records: list[HeadRecord], run: Path) -> None:
    """Raise UserError if a space that a head was fitted in is not among the table's."""
    fitted = {space for record in records for kind in record.kinds for space in kind["spaces"]}
    missing = sorted(fitted - {LOGITS} - {space.name for space in table.spaces})
    if missing:
        raise UserError(
            f"{run / 'backbones'} lacks {', '.join(missing)}, in which heads were fitted. "
            "Run, with the flags of before: python pipeline.py extract, fit-heads and submit"
        )


def _speaker(table: FeatureTable, run: Path, records: dict[str, HeadRecord]):  # noqa: ANN202
    """A function: head name -> what it says in each kind of space, float64 (N,) by kind."""
    projections = read_projections(run, table)
    projected = {
        space.name: Projected(
            projections[space.name].apply(space.image, space.text),
            projections[space.name].image_width,
        )
        for space in table.spaces
    }
    nobody = np.zeros(len(table), dtype=bool)
    heads = run / "heads"

    @cache
    def says(name: str) -> dict[str, np.ndarray]:
        entry = ENTRIES[name]
        if entry.parents:
            parents = [p for parent in entry.parents for p in says(parent).values()]
            sources = {LOGITS: [logit_columns(parents, nobody, nobody)]}
        else:
            kinds = table.kinds().items()
            sources = {k: columns_of(entry, spaces, projected, nobody) for k, spaces in kinds}
        return {
            kind: mean_of_fits(load_models(heads / name, records[name], kind), columns, ~nobody)
            for kind, columns in sources.items()
            if columns
        }

    return says


def _blended(record: HeadRecord, by_kind: dict[str, np.ndarray]) -> np.ndarray:
    calibrations = {kind["name"]: Calibration(**kind["calibration"]) for kind in record.kinds}
    return apply_blend(record.blend, calibrations, by_kind)
