"""Do the held-out figures come from rows that nothing saw?"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features.feature_table import FINE_TUNED, FeatureTable, Space
from heads.check.check_result import Check
from heads.evaluation.out_of_fold import by_part
from heads.fitting.cross_validation import cross_fit
from heads.fitting.head_inputs import Projected, columns_of
from heads.fitting.held_out_evaluation import Protocol
from heads.fitting.space_blending import fit_blend
from heads.registry import HEADS

PROBE = HEADS["linear"]

SURE = 3.0
"""Standard errors beyond which a shuffled AUROC is no accident."""


def shuffled_labels(
    table: FeatureTable, projected: dict[str, Projected], protocol: Protocol
) -> Check:
    """Fit and choose on shuffled labels: whatever still scores has seen what it is scored on."""
    rows, reported = table.rows, table.reported
    label = rows.label.copy()
    labelled = np.flatnonzero(rows.labelled)
    label[labelled] = np.random.default_rng(protocol.seed).permutation(label[labelled])
    held_out = {}
    for kind, spaces in table.kinds().items():
        columns = columns_of(PROBE, spaces, projected, rows.labelled)
        held_out[kind] = cross_fit(PROBE, columns, label, protocol.part, protocol.seed).held_out
    said = fit_blend(held_out, label, protocol.part, reported).held_out[reported]
    auroc = float(roc_auc_score(label[reported], said))
    error = null_error(label[reported])
    ok = abs(auroc - 0.5) <= SURE * error
    evaluation = (
        "as it must be"
        if ok
        else "which chance does not explain: held-out rows leak into what is fitted"
    )
    return Check(
        "shuffled labels",
        ok,
        f"With labels shuffled, the linear head's held-out AUROC is {auroc:.3f} (chance: 0.5 ± "
        f"{SURE * error:.3f} on {reported.sum()} rows), {evaluation}.",
        {"auroc": auroc, "standard_error": error, "rows": int(reported.sum())},
    )


def null_error(label: np.ndarray) -> float:
    """Standard error of the AUROC of scores that know nothing (Mann and Whitney 1947)."""
    positive = int((label == 1).sum())
    negative = len(label) - positive
    return float(np.sqrt((len(label) + 1) / (12 * positive * negative)))


def seen_against_unseen(
    table: FeatureTable, projected: dict[str, Projected], protocol: Protocol
) -> list[Check]:
    """How differently each pair of backbones treats the rows that it was fitted on."""
    spaces = table.kinds().get(FINE_TUNED, [])
    return [
        _seen_against_unseen(space, table, projected[space.name].X, protocol) for space in spaces
    ]


def _seen_against_unseen(
    space: Space, table: FeatureTable, X: np.ndarray, protocol: Protocol
) -> Check:
    rows = table.rows
    held_out = rows.labelled & space.untouched
    known = held_out | space.seen

    def told(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        probe = LogisticRegression(C=1.0, max_iter=1000).fit(X[others], space.seen[others])
        return probe.predict_proba(X[own])[:, 1]

    detector = by_part(protocol.part, known, told)
    detected = float(roc_auc_score(space.seen[known], detector[known]))
    scores = {
        name: float(roc_auc_score(rows.label[here], space.joint_logit[here]))
        for name, here in (("seen", space.seen), ("held_out", held_out))
    }
    gap = scores["seen"] - scores["held_out"]
    # Backbones rank what they were fitted on at least as well as what they were not.
    ok = gap > -SURE * null_error(rows.label[held_out])
    meaning = (
        f"a figure taken on seen rows would boast {gap:.3f} too much, and none is"
        if ok
        else "held-out rows score better than fitted ones: `seen` marks the wrong rows"
    )
    return Check(
        f"seen against unseen, {space.name}",
        ok,
        f"A classifier tells rows that {space.name} was fitted on from held-out ones with AUROC "
        f"{detected:.3f} (0.5: not at all). Its joint model ranks seen rows with "
        f"{scores['seen']:.3f}, held-out ones with {scores['held_out']:.3f}: {meaning}.",
        {"detector_auroc": detected, "joint_auroc": scores, "gap": gap},
    )
