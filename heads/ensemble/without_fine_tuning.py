"""What fine-tuning is worth: members restricted to the spaces that use no labels."""

import numpy as np

from features.feature_table import FINE_TUNED
from heads.ensemble.ensemble import MemberPredictions
from heads.fitting.head_inputs import LOGITS
from heads.fitting.held_out_evaluation import Protocol
from heads.fitting.saved_heads import HeadRecord, Probabilities
from heads.fitting.space_blending import apply_blend, fit_blend

THRESHOLD = 0.5
"""The restricted probabilities are calibrated, so that no threshold is tuned for them."""


def label_free_members(
    offered: list[tuple[HeadRecord, Probabilities]], protocol: Protocol, reported: np.ndarray
) -> MemberPredictions | None:
    """Blend each head again, without its fine-tuned spaces.

    Heads without other spaces, and heads that stack fine-tuned ones, are left out. Returns None if
    the run has no fine-tuned space, or if no head is left.
    """
    if not any(kind["name"] == FINE_TUNED for record, _ in offered for kind in record.kinds):
        return None
    held_out, final = [], []
    for record, probabilities in offered:
        kinds = {
            kind["name"]: number
            for number, kind in enumerate(record.kinds)
            if kind["name"] not in (FINE_TUNED, LOGITS)
        }
        if kinds:
            by_kind = {name: probabilities.kind_held_out[n] for name, n in kinds.items()}
            blend = fit_blend(by_kind, protocol.rows.label, protocol.part, reported)
            by_kind = {name: probabilities.kind_final[n] for name, n in kinds.items()}
            held_out.append(blend.held_out)
            final.append(apply_blend(blend.kinds, blend.calibrations, by_kind))
    if not held_out:
        return None
    thresholds = np.full((len(held_out), len(reported)), THRESHOLD)
    return MemberPredictions(np.stack(held_out), np.stack(final), thresholds, thresholds[:, :1])
