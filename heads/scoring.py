"""New memes through a run's saved heads, thresholds and ensemble."""

from pathlib import Path

import numpy as np

from features.errors import UserError
from features.files import read_json
from features.settings import from_dict
from features.table import FeatureTable
from heads import ENTRIES
from heads.crossfit import mean_logit, view
from heads.ensemble import Ensemble, combine
from heads.saved import HeadRecord, load_models, read_probabilities, read_records


def score_memes(table: FeatureTable, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probability float64 (N,) and decision bool (N,) of every row, as `submit` would give them.

    `table` holds the memes embedded in each space of the run, `folder` is the run's heads/.
    Raises UserError if the heads, or the ensemble, were made from other features.
    """
    stamp = table.attributes["stamp"]
    records = {record.name: record for record in read_records(folder, stamp)}
    ensemble = from_dict(Ensemble, read_json(folder / "ensemble.json", "submit"))
    missing = [name for name in ensemble.members if name not in records]
    if missing or ensemble.stamp != stamp:
        raise UserError(
            f"{folder / 'ensemble.json'} was made from other heads than the run has now. "
            "Run: python pipeline.py submit"
        )
    members = [records[name] for name in ensemble.members]
    probability = np.stack([_probability(record, table, folder) for record in members])
    held_out = np.stack([read_probabilities(folder / record.name).held_out for record in members])
    reference = held_out[:, ~np.isnan(held_out).any(axis=0)]
    thresholds = np.array([[record.threshold["value"]] for record in members])
    together = combine(ensemble.kind, probability, reference, thresholds)
    return together, together > ensemble.threshold["value"]


def _probability(record: HeadRecord, table: FeatureTable, folder: Path) -> np.ndarray:
    models = load_models(folder / record.name, record)
    entry = ENTRIES[record.name]
    by_space = []
    for space in table.spaces:
        X = view(entry, space.image, space.text, space.joint_logit)
        by_space.append(mean_logit([m.predict_proba(X)[:, 1] for m in models[space.name]]))
    return mean_logit(by_space)
