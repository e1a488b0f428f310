"""The heads of a run -> one ensemble with its threshold and figures."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.decision.prior_shift import class_weights
from heads.decision.val_offset import offset_for_val
from heads.ensemble.combining import BEST, ENSEMBLES
from heads.ensemble.ensemble import Combined, Ensemble, Members, finish, fit_kinds
from heads.ensemble.members import correlation, member_contributions
from heads.ensemble.saved_ensemble import Ensembled
from heads.evaluation.metrics import loss
from heads.fitting.held_out_evaluation import evaluate, open_protocol
from heads.fitting.saved_heads import HeadRecord, read_probabilities


def build_ensemble(
    kind: str, prior: float | None, offered: list[HeadRecord], table: FeatureTable, heads: Path
) -> tuple[Ensemble, Ensembled]:
    """The ensemble of this `kind` (a name in ENSEMBLES, or BEST) and its probabilities of all rows.

    `prior` is the test set's share of positives, if it is known.
    """
    protocol = open_protocol(table, offered[0].metric, heads)
    y = table.rows.label.astype(np.int64)
    members = _members(offered, heads)
    kinds = list(ENSEMBLES) if kind == BEST else [kind]
    combined, tried = fit_kinds(kinds, members, y, protocol.part)
    known = ~np.isnan(combined.held_out)
    trained = float(y[known].mean())
    weight = None if prior is None else class_weights(table.rows.label, trained, prior)
    offset, honest = 0.0, combined.held_out
    if prior is None:
        offset, honest = offset_for_val(honest, table.rows, protocol.part)
    held_out = finish(honest, 0.0, trained, prior)
    final = finish(combined.final, offset, trained, prior)
    evaluation = evaluate(protocol, held_out, final, weight)
    names = [record.name for record in offered]
    ensemble = Ensemble(
        stamp=table.attributes["stamp"],
        kind=combined.kind,
        weights={n: float(w) for n, w in zip(names, combined.weights, strict=True)},
        calibration=asdict(combined.calibration),
        offset=offset,
        trained_prior=trained,
        prior=prior,
        threshold=asdict(evaluation.threshold),
        scores=evaluation.scores,
        tried=[_trial(one, y) for one in tried],
        members=member_contributions(names, members, combined, y),
        correlation=correlation(members),
    )
    return ensemble, Ensembled(held_out, final, evaluation.row_threshold)


def _members(offered: list[HeadRecord], heads: Path) -> Members:
    parts = [read_probabilities(heads / record.name) for record in offered]
    return Members(
        np.stack([part.held_out for part in parts]),
        np.stack([part.final for part in parts]),
        np.stack([part.row_threshold for part in parts]),
        np.array([[record.threshold["value"]] for record in offered]),
    )


def _trial(one: Combined, y: np.ndarray) -> dict[str, Any]:
    known = ~np.isnan(one.held_out)
    return {
        "kind": one.kind,
        "log_loss": loss(y[known], one.held_out[known]),
        "auroc": float(roc_auc_score(y[known], one.held_out[known])),
    }
