"""Contribution of each member to the ensemble, and correlation between members."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from heads.ensemble.combining import combine
from heads.ensemble.ensemble import FittedEnsemble, MemberPredictions
from heads.evaluation.metrics import mean_log_loss
from heads.evaluation.out_of_fold import to_logit


def member_contributions(
    names: list[str], members: MemberPredictions, ensemble: FittedEnsemble, y: np.ndarray
) -> list[dict[str, Any]]:
    """Return name, weight, auroc_gain and log_loss_gain of each head.

    A gain compares the ensemble with the head to the ensemble without it, on held-out rows; a
    positive gain is an improvement. A head with weight 0 is added with the members' mean weight to
    compute the gains that it would have had. Gains are None for the only member.
    """
    weights = ensemble.weights
    contributions = []
    for index, name in enumerate(names):
        with_head, without_head = weights.copy(), weights.copy()
        without_head[index] = 0
        with_head[index] = weights[index] or weights[weights > 0].mean()
        if not without_head.any():
            gains = {"auroc_gain": None, "log_loss_gain": None}
        else:
            (auroc, loss), (auroc_without, loss_without) = (
                _auroc_and_log_loss(w, members, ensemble, y) for w in (with_head, without_head)
            )
            gains = {"auroc_gain": auroc - auroc_without, "log_loss_gain": loss_without - loss}
        contributions.append({"name": name, "weight": float(weights[index]), **gains})
    return contributions


def correlation(members: MemberPredictions) -> list[list[float]]:
    """Pearson correlation (M, M) of the heads' held-out logits; 0 for constant logits."""
    known = ~np.isnan(members.held_out).any(axis=0)
    logits = to_logit(members.held_out[:, known])
    # NaN is not valid JSON.
    with np.errstate(invalid="ignore"):
        matrix = np.nan_to_num(np.atleast_2d(np.corrcoef(logits)))
    np.fill_diagonal(matrix, 1)
    return matrix.round(4).tolist()


def _auroc_and_log_loss(
    weights: np.ndarray, members: MemberPredictions, ensemble: FittedEnsemble, y: np.ndarray
) -> tuple[float, float]:
    """Return AUROC and log loss of the ensemble with other weights, on held-out rows."""
    known = ~np.isnan(members.held_out).any(axis=0)
    held_out = members.held_out[:, known]
    thresholds = members.row_thresholds[:, known]
    score = combine(ensemble.kind, held_out, weights / weights.sum(), held_out, thresholds)
    probability = ensemble.calibration.apply(score)
    return float(roc_auc_score(y[known], probability)), mean_log_loss(y[known], probability)
