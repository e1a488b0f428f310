"""Folds that never split a group of near-duplicates, and which rows each space is fitted on."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from runtime.errors import UserError

MONITOR_SHARE = 10
"""One in so many of the rows left for fine-tuning is kept back to choose the epoch."""

HOLDOUT_SHARE = 5
"""Without val and with a single fold, one row in so many is held out."""

LEAST_GROUPS = 5
"""Groups of each class that a fold must have, for heads to be fitted on it five times."""


@dataclass(frozen=True)
class Plan:
    """What each row is for in one space. Boolean arrays (N,)."""

    fitted: np.ndarray
    """The backbones are fitted on these rows."""
    monitored: np.ndarray
    """The epoch is chosen on these rows."""


def assign_folds(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Give every train and val row a fold, test rows -1: int16 (N,). No group is split.

    With two `folds` or more, train and val rows are cut into as many stratified folds, and each is
    left out by one pair of backbones. With one, fold 0 is left out by the only pair, and the others
    are fold 1: it is the val split with the train rows that are near-duplicates of its rows, or
    else a fifth of train.
    """
    fold = np.full(len(split), -1, dtype=np.int16)
    labelled, val = split != "test", split == "val"
    if folds > 1:
        fold[labelled] = stratified_parts(label[labelled], group[labelled], folds, seed)
    elif val.any():
        fold[labelled] = ~np.isin(group[labelled], group[val])
    else:
        fold[labelled] = stratified_parts(label[labelled], group[labelled], HOLDOUT_SHARE, seed) > 0
    return fold


def plan_space(
    label: np.ndarray, group: np.ndarray, fold: np.ndarray, held_out: int, seed: int
) -> Plan:
    """Leave one fold out, monitor one group in ten of the others, fit on what remains.

    Raises UserError if the rows of one of these roles are too few or of one class.
    """
    own = fold == held_out
    usable = (fold >= 0) & ~own
    monitored = np.zeros(len(fold), dtype=bool)
    part = stratified_parts(label[usable], group[usable], MONITOR_SHARE, seed)
    monitored[np.flatnonzero(usable)[part == 0]] = True
    roles = {"fitted": usable & ~monitored, "monitored": monitored, "held-out": own}
    for name, rows in roles.items():
        least = LEAST_GROUPS if name == "held-out" else 1
        groups = [len(np.unique(group[rows & (label == c)])) for c in (0, 1)]
        if min(groups) < least:
            raise UserError(
                f"fold {held_out}: of the near-duplicate groups among the {rows.sum()} {name} "
                f"rows, {groups[0]} hold negative and {groups[1]} positive ones; {least} of each "
                f"are needed. In all there are {np.sum(label[fold >= 0] == 1)} positive and "
                f"{np.sum(label[fold >= 0] == 0)} negative rows in {len(np.unique(group))} groups. "
                "Add rows, or pass fewer --folds."
            )
    return Plan(usable & ~monitored, monitored)


def stratified_parts(label: np.ndarray, group: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Number of the part that each row falls into: int16."""
    part = np.zeros(len(label), dtype=np.int16)
    groups, classes = len(np.unique(group)), np.bincount(label, minlength=2)
    if parts < 2:
        return part
    if min(groups, classes.max()) < parts:
        raise UserError(
            f"{groups} groups of near-duplicate memes ({classes[1]} positive and {classes[0]} "
            f"negative rows) cannot be cut into {parts} parts. Add rows, or pass fewer --folds."
        )
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(splitter.split(label, label, group)):
        part[rows] = number
    return part
