"""Choices that no row they are reported on took part in.

The labelled rows are cut once into PARTS grouped, stratified parts. Whatever is chosen for a part
(parameters, calibration, members, threshold) is chosen on the other parts' rows.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from sklearn.model_selection import StratifiedGroupKFold

from features.feature_table import Rows
from heads.evaluation.metrics import CLIP, loss
from runtime.errors import UserError

PARTS = 5


def cut_parts(rows: Rows, seed: int) -> np.ndarray:
    """Part of each labelled row, -1 elsewhere: int64 (N,). No group is split.

    Raises UserError if there are too few groups of either class.
    """
    labelled = np.flatnonzero(rows.labelled)
    label, group = rows.label[labelled], rows.group[labelled]
    groups = [len(np.unique(group[label == c])) for c in (0, 1)]
    if min(groups) < PARTS:
        raise UserError(
            f"of the near-duplicate groups among the {len(labelled)} train and val rows, "
            f"{groups[0]} hold negative and {groups[1]} positive ones; heads need {PARTS} of each. "
            "Add rows."
        )
    part = np.full(len(rows), -1)
    splitter = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
    for number, (_, own) in enumerate(splitter.split(labelled, label, group)):
        part[labelled[own]] = number
    return part


def by_part(part: np.ndarray, known: np.ndarray, make: Callable[..., np.ndarray]) -> np.ndarray:
    """Fill an array (N,) part by part with `make(others, own)`, both row numbers; NaN elsewhere.

    Only rows that are `known` (bool, (N,)) are handed out.
    """
    filled = np.full(len(part), np.nan)
    for number in range(PARTS):
        own = np.flatnonzero(known & (part == number))
        others = np.flatnonzero(known & (part >= 0) & (part != number))
        if len(own):
            filled[own] = make(others, own)
    return filled


def choose(candidates: list[np.ndarray], y: np.ndarray, part: np.ndarray) -> tuple[int, np.ndarray]:
    """The candidate of least log loss, and each part's values from the one that the others choose.

    `candidates` are held-out probabilities (N,), NaN in the same places; of equals the first wins.
    """
    known = ~np.isnan(candidates[0])

    def of_part(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        return candidates[_best(candidates, y, others)][own]

    return _best(candidates, y, np.flatnonzero(known)), by_part(part, known, of_part)


def to_logit(probability: np.ndarray) -> np.ndarray:
    """Finite logits of probabilities that may be 0 or 1; NaN stays NaN."""
    return logit(np.clip(probability, CLIP, 1 - CLIP))


def mean_logit(probabilities: list[np.ndarray]) -> np.ndarray:
    """Mean on the logit scale of arrays (N,), back as probability.

    NaN stands for having no say; where nobody has a say, the mean is NaN.
    """
    logits = to_logit(np.asarray(probabilities))
    says = ~np.isnan(logits)
    count = says.sum(axis=0)
    total = np.where(says, logits, 0).sum(axis=0)
    return expit(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def _best(candidates: list[np.ndarray], y: np.ndarray, rows: np.ndarray) -> int:
    return int(np.argmin([loss(y[rows], candidate[rows]) for candidate in candidates]))
