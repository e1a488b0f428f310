"""What each member brings to an ensemble, and how alike members are."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from heads.ensemble.combining import combine
from heads.ensemble.ensemble import Combined, Members
from heads.evaluation.metrics import loss
from heads.evaluation.out_of_fold import to_logit


def member_contributions(
    names: list[str], members: Members, combined: Combined, y: np.ndarray
) -> list[dict[str, Any]]:
    """Of each head: name, weight, auroc_gain and log_loss_gain.

    A gain is the ensemble with the head less the ensemble without it, on held-out rows; positive is
    good. A head that was dropped is put in with a mean weight to see what it would have brought.
    """
    weights = combined.weights
    facts = []
    for place, name in enumerate(names):
        present, absent = weights.copy(), weights.copy()
        absent[place] = 0
        present[place] = weights[place] or weights[weights > 0].mean()
        if not absent.any():
            gains = {"auroc_gain": None, "log_loss_gain": None}
        else:
            own, rest = (_figures(w, members, combined, y) for w in (present, absent))
            gains = {"auroc_gain": own[0] - rest[0], "log_loss_gain": rest[1] - own[1]}
        facts.append({"name": name, "weight": float(weights[place]), **gains})
    return facts


def correlation(members: Members) -> list[list[float]]:
    """Pearson correlation of the heads' held-out logits, (M, M); 0 with one that never varies."""
    known = ~np.isnan(members.held_out).any(axis=0)
    logits = to_logit(members.held_out[:, known])
    # NaN would be no JSON.
    with np.errstate(invalid="ignore"):
        found = np.nan_to_num(np.atleast_2d(np.corrcoef(logits)))
    np.fill_diagonal(found, 1)
    return found.round(4).tolist()


def _figures(
    weights: np.ndarray, members: Members, combined: Combined, y: np.ndarray
) -> tuple[float, float]:
    """AUROC and log loss on held-out rows."""
    known = ~np.isnan(members.held_out).any(axis=0)
    held_out = members.held_out[:, known]
    thresholds = members.row_thresholds[:, known]
    score = combine(combined.kind, held_out, weights / weights.sum(), held_out, thresholds)
    probability = combined.calibration.apply(score)
    return float(roc_auc_score(y[known], probability)), loss(y[known], probability)
