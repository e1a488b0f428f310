"""Leak checks: are held-out metrics computed on rows that no model was fitted on?"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features.feature_table import FINE_TUNED, FeatureTable, Space
from heads.check.check_result import Check
from heads.evaluation.out_of_fold import out_of_fold_values
from heads.fitting.cross_validation import cross_validate
from heads.fitting.head_inputs import Projected, inputs_by_kind
from heads.fitting.held_out_evaluation import Protocol
from heads.fitting.space_blending import fit_blend
from heads.registry import HEADS

PROBE = HEADS["linear"]

MAX_STANDARD_ERRORS = 3.0
"""Largest deviation of an AUROC from its expectation that is attributed to chance."""


def shuffled_labels(
    table: FeatureTable, projected: dict[str, Projected], protocol: Protocol
) -> Check:
    """Fit and select on shuffled labels: an AUROC other than 0.5 means that labels leak."""
    rows, reported = table.rows, table.reported
    label = rows.label.copy()
    labelled = np.flatnonzero(rows.labelled)
    label[labelled] = np.random.default_rng(protocol.seed).permutation(label[labelled])
    inputs = inputs_by_kind(PROBE, table, projected, rows.labelled)
    fitted = cross_validate(PROBE, inputs, label, protocol.part, protocol.seed)
    held_out = {kind: one.held_out for kind, one in fitted.items()}
    blended = fit_blend(held_out, label, protocol.part, reported).held_out[reported]
    auroc = float(roc_auc_score(label[reported], blended))
    error = null_error(label[reported])
    ok = abs(auroc - 0.5) <= MAX_STANDARD_ERRORS * error
    evaluation = (
        "as expected"
        if ok
        else "which chance does not explain: labels of held-out rows leak into the fits"
    )
    return Check(
        "shuffled labels",
        ok,
        f"With labels shuffled, the linear head's held-out AUROC is {auroc:.3f} (chance: 0.5 ± "
        f"{MAX_STANDARD_ERRORS * error:.3f} on {reported.sum()} rows), {evaluation}.",
        {"auroc": auroc, "standard_error": error, "rows": int(reported.sum())},
    )


def null_error(label: np.ndarray) -> float:
    """Standard error of the AUROC of uninformative scores (Mann and Whitney 1947)."""
    positive = int((label == 1).sum())
    negative = len(label) - positive
    return float(np.sqrt((len(label) + 1) / (12 * positive * negative)))


def seen_vs_held_out(
    table: FeatureTable, projected: dict[str, Projected], protocol: Protocol
) -> list[Check]:
    """Compare the rows that each pair of backbones was fitted on with its held-out rows."""
    spaces = table.kinds().get(FINE_TUNED, [])
    return [_check_space(space, table, projected[space.name].X, protocol) for space in spaces]


def _check_space(space: Space, table: FeatureTable, X: np.ndarray, protocol: Protocol) -> Check:
    rows = table.rows
    held_out = rows.labelled & space.held_out
    known = held_out | space.seen

    def fit_predict(others: np.ndarray, in_part: np.ndarray) -> np.ndarray:
        probe = LogisticRegression(C=1.0, max_iter=1000).fit(X[others], space.seen[others])
        return probe.predict_proba(X[in_part])[:, 1]

    detector = out_of_fold_values(protocol.part, known, fit_predict)
    detector_auroc = float(roc_auc_score(space.seen[known], detector[known]))
    scores = {
        name: float(roc_auc_score(rows.label[mask], space.joint_logit[mask]))
        for name, mask in (("seen", space.seen), ("held_out", held_out))
    }
    gap = scores["seen"] - scores["held_out"]
    # Backbones rank the rows they were fitted on at least as well as other rows.
    ok = gap > -MAX_STANDARD_ERRORS * null_error(rows.label[held_out])
    meaning = (
        f"AUROC on seen rows would be {gap:.3f} too high, and is not used for evaluation"
        if ok
        else "held-out rows score better than seen rows: `seen` marks the wrong rows"
    )
    return Check(
        f"seen vs held-out rows, {space.name}",
        ok,
        f"A classifier distinguishes rows that {space.name} was fitted on from held-out rows with "
        f"AUROC {detector_auroc:.3f} (0.5: not at all). The joint model has AUROC "
        f"{scores['seen']:.3f} on seen rows and {scores['held_out']:.3f} on held-out rows: "
        f"{meaning}.",
        {"detector_auroc": detector_auroc, "joint_auroc": scores, "gap": gap},
    )
