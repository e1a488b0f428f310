"""One head from cached columns to head.json."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.fitting.cross_validation import Fitted, cross_fit
from heads.fitting.head_inputs import LOGITS, Columns, Projected, columns_of, logit_columns
from heads.fitting.held_out_evaluation import Protocol, evaluate
from heads.fitting.saved_heads import (
    HeadRecord,
    Probabilities,
    read_probabilities,
    read_record,
    save_head,
)
from heads.fitting.space_blending import apply_blend, fit_blend
from heads.registry import ENTRIES, REFERENCES
from runtime.errors import UserError


def fit_head(
    name: str, table: FeatureTable, projected: dict[str, Projected], protocol: Protocol, heads: Path
) -> HeadRecord:
    """Fit one head in every kind of space, blend, judge, and write it into the folder `heads`."""
    label, reported = table.rows.label, table.reported
    sources = _sources(name, table, projected, heads)
    fitted = {
        kind: cross_fit(ENTRIES[name], columns, label, protocol.part, protocol.seed)
        for kind, columns in sources.items()
    }
    blend = fit_blend({k: f.held_out for k, f in fitted.items()}, label, protocol.part, reported)
    finals = {kind: one.final for kind, one in fitted.items()}
    final = apply_blend(blend.kinds, blend.calibrations, finals)
    evaluation = evaluate(protocol, blend.held_out, final)
    kinds = [
        {
            "name": kind,
            "choice": one.choice,
            "fitted_rows": one.fitted_rows,
            "spaces": {space: len(models) for space, models in one.models.items()},
            "calibration": asdict(blend.calibrations[kind]),
            "auroc": _auroc(table, one),
        }
        for kind, one in fitted.items()
    ]
    record = HeadRecord(
        name=name,
        stamp=table.attributes["stamp"],
        member=name not in REFERENCES,
        metric=protocol.metric,
        kinds=kinds,
        blend=blend.kinds,
        threshold=asdict(evaluation.threshold),
        seconds=round(sum(one.seconds for one in fitted.values()), 2),
        scores=evaluation.scores,
    )
    probabilities = Probabilities(
        blend.held_out,
        final,
        evaluation.row_threshold,
        np.stack([one.held_out for one in fitted.values()]),
        np.stack([one.final for one in fitted.values()]),
    )
    save_head(heads / name, record, fitted, probabilities)
    return record


def _sources(
    name: str, table: FeatureTable, projected: dict[str, Projected], heads: Path
) -> dict[str, list[Columns]]:
    """The columns that a head is given, by kind of space."""
    entry = ENTRIES[name]
    if entry.parents:
        return {LOGITS: [_parents_logits(name, table, heads)]}
    labelled = table.rows.labelled
    found = {
        kind: columns_of(entry, spaces, projected, labelled)
        for kind, spaces in table.kinds().items()
    }
    return {kind: columns for kind, columns in found.items() if columns}


def _parents_logits(name: str, table: FeatureTable, heads: Path) -> Columns:
    """What the parents say: of reported rows held out, of test rows final, of others nothing."""
    said = []
    for parent in ENTRIES[name].parents:
        path = heads / parent / "head.json"
        if not path.is_file() or read_record(path.parent).stamp != table.attributes["stamp"]:
            raise UserError(f"--heads: {name} stacks {parent}, which is not fitted: add {parent}")
        known = read_probabilities(path.parent)
        for held_out, final in zip(known.kind_held_out, known.kind_final, strict=True):
            said.append(np.where(table.reported, held_out, final))
    return logit_columns(said, table.rows.labelled, table.reported)


def _auroc(table: FeatureTable, one: Fitted) -> dict[str, float | None]:
    """Of one kind of space alone."""
    rows = table.rows
    test = (rows.split == "test") & (rows.label >= 0)
    found = {}
    for name, places, values in (
        ("held_out", table.reported, one.held_out),
        ("test", test, one.final),
    ):
        two = len(np.unique(rows.label[places])) == 2
        found[name] = float(roc_auc_score(rows.label[places], values[places])) if two else None
    return found
