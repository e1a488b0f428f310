"""Fit one head: cross-validation, blending of spaces, evaluation, saving."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.fitting.cross_validation import FittedHead, cross_validate
from heads.fitting.head_inputs import (
    LOGITS,
    HeadInputs,
    Projected,
    fitted_parents,
    inputs_by_kind,
    logit_inputs,
)
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
    """Fit one head in every kind of space, blend and evaluate it, save it in the folder `heads`."""
    label, reported = table.rows.label, table.reported
    inputs = _inputs_by_kind(name, table, projected, heads)
    start = time.perf_counter()
    fitted = cross_validate(ENTRIES[name], inputs, label, protocol.part, protocol.seed)
    seconds = time.perf_counter() - start
    blend = fit_blend({k: f.held_out for k, f in fitted.items()}, label, protocol.part, reported)
    final_by_kind = {kind: one.final for kind, one in fitted.items()}
    final = apply_blend(blend.kinds, blend.calibrations, final_by_kind)
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
        seconds=round(seconds, 2),
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


def _inputs_by_kind(
    name: str, table: FeatureTable, projected: dict[str, Projected], heads: Path
) -> dict[str, list[HeadInputs]]:
    """Return a head's inputs in the spaces of each kind."""
    entry = ENTRIES[name]
    if entry.parents:
        return {LOGITS: [_parent_logits(name, table, heads)]}
    return inputs_by_kind(entry, table, projected, table.rows.labelled)


def _parent_logits(name: str, table: FeatureTable, heads: Path) -> HeadInputs:
    """Return the parents' held-out logits of reported rows, final ones of test rows, else NaN."""
    probabilities = []
    for parent in fitted_parents(name, table):
        path = heads / parent / "head.json"
        if not path.is_file() or read_record(path.parent).stamp != table.attributes["stamp"]:
            raise UserError(f"--heads: {name} stacks {parent}, which is not fitted: add {parent}")
        saved = read_probabilities(path.parent)
        for held_out, final in zip(saved.kind_held_out, saved.kind_final, strict=True):
            probabilities.append(np.where(table.reported, held_out, final))
    return logit_inputs(probabilities, table.rows.labelled, table.reported)


def _auroc(table: FeatureTable, fitted: FittedHead) -> dict[str, float | None]:
    """AUROC of a head in one kind of space, on held-out and on test rows; None for one class."""
    rows = table.rows
    test = (rows.split == "test") & (rows.label >= 0)
    result = {}
    for name, selected, probability in (
        ("held_out", table.reported, fitted.held_out),
        ("test", test, fitted.final),
    ):
        y = rows.label[selected]
        both_classes = len(np.unique(y)) == 2
        result[name] = float(roc_auc_score(y, probability[selected])) if both_classes else None
    return result
