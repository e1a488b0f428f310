"""Out-of-fold values and model selection: nothing that a row is scored with was chosen on it.

The labelled rows are split once into grouped, stratified parts, the cross-validation folds of
stage two. (`fold` is the fold of the backbones.) Everything selected for a part, such as
hyperparameters, calibration, ensemble weights and threshold, is selected on the other parts' rows.
The held-out values of these rows come from fits that include the part's rows: cross-validation is
not nested.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit

from features.feature_table import Rows
from features.stratified_group_parts import stratified_group_parts
from heads.evaluation.metrics import CLIP, mean_log_loss
from runtime.errors import UserError

PARTS = 5

MANY_PARTS = 10

MANY_PARTS_ROWS = (500, 5000)
"""Numbers of labelled rows with MANY_PARTS: with fewer, a part is too small to score on; with more,
the larger share of rows in a fit matters less than its time."""


def assign_parts(rows: Rows, seed: int) -> np.ndarray:
    """Assign each labelled row to a part: int64 (N,), -1 for other rows. Groups are never split.

    There are MANY_PARTS parts, or PARTS if rows or groups are too few, or rows are many. Raises
    UserError if a class occurs in too few groups.
    """
    labelled = np.flatnonzero(rows.labelled)
    label, group = rows.label[labelled], rows.group[labelled]
    groups = [len(np.unique(group[label == c])) for c in (0, 1)]
    if min(groups) < PARTS:
        raise UserError(
            f"of the near-duplicate groups among the {len(labelled)} train and val rows, "
            f"{groups[0]} contain negative rows and {groups[1]} positive rows. Heads need {PARTS} "
            "groups of each class. Add rows."
        )
    part = np.full(len(rows), -1)
    # Not the seed of the folds: if the parts were the folds, no unseen row would be left to fit on.
    random_state = int(np.random.SeedSequence([seed, PARTS]).generate_state(1)[0])
    least, most = MANY_PARTS_ROWS
    many = least <= len(labelled) <= most and min(groups) >= MANY_PARTS
    parts = MANY_PARTS if many else PARTS
    part[labelled] = stratified_group_parts(label, group, parts, random_state)
    return part


def count_parts(part: np.ndarray) -> int:
    """Return the number of parts that `assign_parts` made."""
    return int(part.max()) + 1


def out_of_fold_values(
    part: np.ndarray, known: np.ndarray, fit_predict: Callable[..., np.ndarray]
) -> np.ndarray:
    """Compute each part's values from the other parts: float64 (N,), NaN elsewhere.

    `fit_predict(others, in_part)` takes the indices of the other parts' rows and of the part's
    rows, and returns the values of the latter. Only rows in `known`, bool (N,), are used.
    """
    values = np.full(len(part), np.nan)
    for number in range(count_parts(part)):
        in_part = np.flatnonzero(known & (part == number))
        others = np.flatnonzero(known & (part >= 0) & (part != number))
        if len(in_part):
            values[in_part] = fit_predict(others, in_part)
    return values


def select_by_log_loss(
    candidates: list[np.ndarray], y: np.ndarray, part: np.ndarray
) -> tuple[int, np.ndarray]:
    """Select the candidate with the lowest log loss; return its index and out-of-fold values.

    See `best_by_log_loss`. The out-of-fold values (N,) of a part are those of its candidate.
    """
    best, best_without = best_by_log_loss(candidates, y, part)
    values = np.full(len(part), np.nan)
    for number, index in enumerate(best_without):
        rows = part == number
        values[rows] = candidates[index][rows]
    return best, values


def best_by_log_loss(
    candidates: list[np.ndarray], y: np.ndarray, part: np.ndarray
) -> tuple[int, np.ndarray]:
    """Return the candidate with the lowest log loss, and the one that is best without each part.

    `candidates` are held-out probabilities (N,), NaN at the same rows. Ties go to the first. The
    second result is int (parts,).
    """
    known = ~np.isnan(candidates[0])
    without = [known & (part >= 0) & (part != number) for number in range(count_parts(part))]
    best = [_best(candidates, y, np.flatnonzero(rows)) for rows in (known, *without)]
    return best[0], np.array(best[1:])


def to_logit(probability: np.ndarray) -> np.ndarray:
    """Convert probabilities, which may be 0 or 1, to finite logits. NaN stays NaN."""
    return logit(np.clip(probability, CLIP, 1 - CLIP))


def mean_logit(probabilities: list[np.ndarray]) -> np.ndarray:
    """Average arrays of probabilities (N,) on the logit scale; return probabilities.

    NaN values are ignored. Where all values are NaN, the mean is NaN.
    """
    logits = to_logit(np.asarray(probabilities))
    known = ~np.isnan(logits)
    count = known.sum(axis=0)
    total = np.where(known, logits, 0).sum(axis=0)
    return expit(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def _best(candidates: list[np.ndarray], y: np.ndarray, rows: np.ndarray) -> int:
    return int(np.argmin([mean_log_loss(y[rows], candidate[rows]) for candidate in candidates]))
