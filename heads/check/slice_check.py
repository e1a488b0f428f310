"""Slice check: the largest gap between two slices of `extract --group-column`."""

from pathlib import Path

import numpy as np

from features.feature_table import FeatureTable
from heads.check.check_result import Check
from heads.decision.prior_shift import class_weights
from heads.ensemble.run_memes import read_memes
from heads.ensemble.saved_ensemble import EnsembleRecord
from heads.evaluation.ratio_intervals import ScoredRows
from heads.evaluation.slices import compare_slices
from runtime.files.json_files import read_json


def slice_gap(
    run: Path, table: FeatureTable, held_out: np.ndarray, ensemble: EnsembleRecord, seed: int
) -> list[Check]:
    """Name the largest gap on the held-out rows; nothing if the run has no column of slices.

    `held_out` float64 (N,): probabilities, NaN for rows that are not evaluated. A gap is no fault
    of the run, so this check does not fail. Raises UserError if data.json or memes.jsonl is
    damaged.
    """
    data = run / "data.json"
    column = read_json(data, "extract").get("group_column") if data.is_file() else None
    if column is None:
        return []
    chosen, label = np.flatnonzero(~np.isnan(held_out)), table.rows.label
    weight = np.ones(len(label))
    if ensemble.prior is not None:
        weight = class_weights(label, ensemble.trained_prior, ensemble.prior)
    scored = ScoredRows(
        label[chosen], held_out[chosen], table.rows.group[chosen], weight[chosen], seed
    )
    memes = read_memes(run / "memes.jsonl", table.rows.id)
    names = np.array([meme.slice for meme in memes], dtype=object)[chosen]
    found = compare_slices(scored, names, ensemble.threshold["value"])
    compared = ", ".join(f"{one.name} ({one.rows} rows)" for one in found.slices)
    left_out = f" Slices with too few rows: {found.left_out}." if found.left_out else ""
    sentence = (
        f"{found.gap.sentence()} Compared by {column}: {compared}.{left_out}"
        if found.gap
        else f"By {column}, fewer than two slices have enough rows to compare.{left_out}"
    )
    figures = {"difference": found.gap.difference} if found.gap else {}
    return [Check("slices", True, sentence, figures)]
