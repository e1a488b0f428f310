"""Build the ensemble of a run's heads, with its threshold and scores."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from features.feature_table import FeatureTable
from heads.decision.operating_points import choose_operating_points
from heads.decision.prior_shift import class_weights
from heads.decision.review_band import find_review_band
from heads.decision.targets import Target
from heads.decision.val_offset import fit_val_offset
from heads.ensemble.combining import BEST, ENSEMBLES
from heads.ensemble.ensemble import (
    FittedEnsemble,
    MemberPredictions,
    adjust_probabilities,
    fit_ensembles,
)
from heads.ensemble.member_contributions import correlation, member_contributions
from heads.ensemble.saved_ensemble import EnsembleProbabilities, EnsembleRecord
from heads.ensemble.without_fine_tuning import label_free_members
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.ratio_intervals import ScoredRows
from heads.fitting.held_out_evaluation import Evaluation, Protocol, evaluate, load_protocol
from heads.fitting.saved_heads import HeadRecord, Probabilities, read_probabilities


class BuiltEnsemble(NamedTuple):
    """An ensemble, its probabilities, and those of the same ensemble without fine-tuned spaces."""

    record: EnsembleRecord
    probabilities: EnsembleProbabilities
    without_fine_tuning: EnsembleProbabilities | None


def build_ensemble(
    kind: str,
    prior: float | None,
    targets: list[Target],
    offered: list[HeadRecord],
    table: FeatureTable,
    heads: Path,
) -> BuiltEnsemble:
    """Build the ensemble of this `kind` (a name in ENSEMBLES, or BEST) and its probabilities.

    `prior` is the test set's share of positives, if known; `targets` are those of `submit`.
    """
    protocol = load_protocol(table, offered[0].metric, heads)
    y = table.rows.label.astype(np.int64)
    saved = [read_probabilities(heads / record.name) for record in offered]
    members = _members(offered, saved)
    kinds = list(ENSEMBLES) if kind == BEST else [kind]
    fitted, tried = fit_ensembles(kinds, members, y, protocol.part)
    adjusted = _adjust(fitted, prior, protocol)
    pairs = list(zip(offered, saved, strict=True))
    label_free = label_free_members(pairs, protocol, table.reported)
    without = (
        _adjust(fit_ensembles(kinds, label_free, y, protocol.part)[0], prior, protocol)
        if label_free
        else None
    )
    scored = _scored_rows(adjusted, protocol)
    known = ~np.isnan(adjusted.probabilities.held_out)
    points = choose_operating_points(targets, scored, protocol.part[known])
    band = find_review_band(points, scored)
    names = [record.name for record in offered]
    record = EnsembleRecord(
        stamp=table.attributes["stamp"],
        kind=fitted.kind,
        weights={n: float(w) for n, w in zip(names, fitted.weights, strict=True)},
        calibration=asdict(fitted.calibration),
        offset=adjusted.offset,
        trained_prior=adjusted.trained_prior,
        prior=prior,
        threshold=asdict(adjusted.evaluation.threshold),
        scores=adjusted.evaluation.scores,
        tried=[_tried_scores(one, y) for one in tried],
        members=member_contributions(names, members, fitted, y),
        correlation=correlation(members),
        without_fine_tuning=without and without.scores(),
        operating_points=[asdict(point) for point in points],
        review_band=band and asdict(band),
    )
    return BuiltEnsemble(record, adjusted.probabilities, without and without.probabilities)


class _Adjusted(NamedTuple):
    """An ensemble adjusted to the class shares of val or of the test set, and its evaluation."""

    offset: float
    trained_prior: float
    probabilities: EnsembleProbabilities
    weight: np.ndarray
    """float64 (N,): see `evaluate`."""
    evaluation: Evaluation

    def scores(self) -> dict[str, Any]:
        return {"threshold": asdict(self.evaluation.threshold), "scores": self.evaluation.scores}


def _adjust(fitted: FittedEnsemble, prior: float | None, protocol: Protocol) -> _Adjusted:
    """Adjust to `prior`, or else to the val rows; tune the threshold and score."""
    label = protocol.rows.label
    trained = float(label[~np.isnan(fitted.held_out)].mean())
    weight = np.ones(len(label)) if prior is None else class_weights(label, trained, prior)
    offset, held_out = 0.0, fitted.held_out
    if prior is None:
        offset, held_out = fit_val_offset(held_out, protocol.rows, protocol.part)
    # The out-of-fold offsets are already added to the held-out probabilities.
    held_out = adjust_probabilities(held_out, 0.0, trained, prior)
    final = adjust_probabilities(fitted.final, offset, trained, prior)
    evaluation = evaluate(protocol, held_out, final, weight)
    probabilities = EnsembleProbabilities(held_out, final, evaluation.row_threshold)
    return _Adjusted(offset, trained, probabilities, weight, evaluation)


def _scored_rows(adjusted: _Adjusted, protocol: Protocol) -> ScoredRows:
    held_out, rows = adjusted.probabilities.held_out, protocol.rows
    known = ~np.isnan(held_out)
    return ScoredRows(
        y=rows.label[known],
        probability=held_out[known],
        group=rows.group[known],
        weight=adjusted.weight[known],
        seed=protocol.seed,
    )


def _members(offered: list[HeadRecord], saved: list[Probabilities]) -> MemberPredictions:
    return MemberPredictions(
        np.stack([one.held_out for one in saved]),
        np.stack([one.final for one in saved]),
        np.stack([one.row_threshold for one in saved]),
        np.array([[record.threshold["value"]] for record in offered]),
    )


def _tried_scores(one: FittedEnsemble, y: np.ndarray) -> dict[str, Any]:
    known = ~np.isnan(one.held_out)
    return {
        "kind": one.kind,
        "log_loss": mean_log_loss(y[known], one.held_out[known]),
        "auroc": float(roc_auc_score(y[known], one.held_out[known])),
    }
