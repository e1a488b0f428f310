"""Assign cross-validation folds that never split a group of near-duplicates, and training rows."""

from dataclasses import dataclass

import numpy as np

from extract.config import PLATEAU, ExtractConfig
from features.feature_table import Rows
from features.stratified_group_parts import stratified_group_parts
from runtime.errors import UserError

MONITOR_PARTS = 10
"""The rows for fine-tuning are cut into this many parts; one part monitors the loss per epoch."""

HOLDOUT_PARTS = 5
"""With one fold and no val, train is cut into this many parts; one part is held out."""

MIN_GROUPS = 5
"""Minimum number of groups of each class in a fold: heads are cross-validated in five parts."""

MAX_FOLDS_TRIED = 10
"""Numbers of folds that are tried before one is advised."""


@dataclass(frozen=True)
class Plan:
    """The rows that the backbones of one space are fine-tuned on. Boolean arrays (N,)."""

    fitted: np.ndarray
    """The backbones are trained on these rows."""
    monitored: np.ndarray
    """The best epoch is chosen on these rows; none if it is fixed."""
    held_out: np.ndarray
    """The backbones must not depend on these rows."""

    @property
    def evaluated(self) -> np.ndarray:
        """The rows whose loss is shown after each epoch: the monitored ones, else the held-out."""
        return self.monitored if self.monitored.any() else self.held_out


def assign_folds(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Assign a fold to every train and val row, and -1 to test rows: int16 (N,).

    No group is split. With two or more `folds`, train and val rows are cut into stratified folds,
    and each pair of backbones is trained without one. With one, the only pair is trained without
    fold 0; all other rows are fold 1. Fold 0 is the val split and the train rows that are
    near-duplicates of it, or a fifth of train if there is no val. With none, nothing is fine-tuned,
    and all train and val rows are fold 0.
    """
    fold = np.full(len(split), -1, dtype=np.int16)
    labelled, val = split != "test", split == "val"
    if folds == 0:
        fold[labelled] = 0
    elif folds > 1:
        fold[labelled] = stratified_parts(label[labelled], group[labelled], folds, seed)
    elif val.any():
        fold[labelled] = ~np.isin(group[labelled], group[val])
    else:
        fold[labelled] = stratified_parts(label[labelled], group[labelled], HOLDOUT_PARTS, seed) > 0
    return fold


def plan_fold(rows: Rows, held_out: int, config: ExtractConfig) -> Plan:
    """Return `plan_space` of a run's rows: rows are monitored if its schedule needs them."""
    monitor = config.schedule == PLATEAU
    return plan_space(rows.label, rows.group, rows.fold, held_out, config.seed, monitor)


def plan_space(
    label: np.ndarray,
    group: np.ndarray,
    fold: np.ndarray,
    held_out: int,
    seed: int,
    monitor: bool = False,
) -> Plan:
    """Hold out one fold and train on the rest, except a tenth of it if `monitor`.

    No group is split. Raises UserError if one of these sets of rows is too small or has only one
    class.
    """
    in_fold = fold == held_out
    usable = (fold >= 0) & ~in_fold
    monitored = np.zeros(len(fold), dtype=bool)
    if monitor:
        part = stratified_parts(label[usable], group[usable], MONITOR_PARTS, seed)
        monitored[np.flatnonzero(usable)[part == 0]] = True
    plan = Plan(usable & ~monitored, monitored, in_fold)
    roles = {"fitted": (plan.fitted, 1), "held-out": (in_fold, MIN_GROUPS)}
    if monitor:
        roles["monitored"] = monitored, 1
    for name, (rows, minimum) in roles.items():
        groups = [len(np.unique(group[rows & (label == c)])) for c in (0, 1)]
        if min(groups) < minimum:
            raise UserError(
                f"fold {held_out}: of the near-duplicate groups among the {rows.sum()} {name} "
                f"rows, {groups[0]} hold negative and {groups[1]} positive ones; {minimum} of each "
                f"are needed. In total there are {np.sum(label[fold >= 0] == 1)} positive and "
                f"{np.sum(label[fold >= 0] == 0)} negative rows in "
                f"{len(np.unique(group[fold >= 0]))} groups."
            )
    return plan


def folds_that_work(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, config: ExtractConfig
) -> list[int]:
    """Return the numbers of --folds, up to MAX_FOLDS_TRIED, with which all folds can be planned."""
    return [n for n in range(1, MAX_FOLDS_TRIED + 1) if _can_plan(split, label, group, config, n)]


def _can_plan(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, config: ExtractConfig, folds: int
) -> bool:
    monitor = config.schedule == PLATEAU
    try:
        fold = assign_folds(split, label, group, folds, config.seed)
        for held_out in range(folds):
            plan_space(label, group, fold, held_out, config.seed, monitor)
    except UserError:
        return False
    return True


def folds_advice(
    split: np.ndarray, label: np.ndarray, group: np.ndarray, config: ExtractConfig
) -> str:
    """Return what to do if the rows cannot be cut into --folds: advice that was tried."""
    works = folds_that_work(split, label, group, config)
    if works:
        best = min(works, key=lambda n: (abs(n - config.folds), n))
        return f"With these rows it works with --folds {best}."
    labelled = split != "test"
    groups = [len(np.unique(group[labelled & (label == one_class)])) for one_class in (0, 1)]
    # Heads need as many groups of each class as a held-out fold.
    without = " Without fine-tuning, it works: --folds 0." if min(groups) >= MIN_GROUPS else ""
    return (
        f"To fine-tune, at least {2 * MIN_GROUPS} unrelated memes of each class are needed in "
        f"train and val, many more for a useful model. Add labelled rows.{without}"
    )


def stratified_parts(label: np.ndarray, group: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Return the number of each row's part: int16 (N,). Parts are stratified; no group is split.

    Raises UserError if there are too few groups or rows.
    """
    groups, classes = len(np.unique(group)), np.bincount(label, minlength=2)
    if parts < 2:
        return np.zeros(len(label), dtype=np.int16)
    if min(groups, classes.max()) < parts:
        raise UserError(
            f"{groups} groups of near-duplicate memes ({classes[1]} positive and {classes[0]} "
            f"negative rows) cannot be cut into {parts} parts."
        )
    return stratified_group_parts(label, group, parts, seed).astype(np.int16)
