"""The fits of a head's candidates: in which space, on which rows, predicting which rows.

A candidate is a choice of hyperparameters and of the rows to fit on.
"""

from typing import Any, NamedTuple

import numpy as np

from heads.base import Head, evenly_spaced
from heads.evaluation.out_of_fold import MANY_PARTS_ROWS, count_parts
from heads.fitting.head_inputs import HeadInputs
from heads.fitting.parallel_fits import map_in_threads
from runtime.errors import UserError

MAX_ROWS_PER_FIT = 100_000
"""A larger table is subsampled for each fit: a hundred columns need no more rows."""

COMPARED_ON_ALL = MANY_PARTS_ROWS[1]
"""Up to so many labelled rows, candidates are compared on all of them."""

COMPARED_SHARE = 0.4
"""Of more rows, candidates are compared on this share: that of the first spaces or parts."""

MAX_COMPARED = 100_000

MAX_STACKED = 5
"""Fits in one group of a head that stacks them. Larger stacks are hardly faster, and keep fewer
cores busy."""


class FitTask(NamedTuple):
    """One fit to do: a candidate, in a space, on some rows."""

    choice: dict[str, Any]
    space: HeadInputs
    train: np.ndarray
    """bool (N,): rows to fit on."""
    scored: np.ndarray
    """bool (N,): held-out rows to predict."""
    compared: np.ndarray
    """bool (N,): those of `scored` that candidates are compared on."""


class Fit(NamedTuple):
    """A fitted model."""

    task: FitTask
    model: Any
    probability: np.ndarray
    """float64: probabilities of the task's `compared` rows."""


def compared_rows(spaces: list[HeadInputs], part: np.ndarray) -> np.ndarray:
    """Return the rows to compare candidates on, of the spaces of one kind: bool (N,).

    The other rows of a large table are predicted by fits of the selected candidate only. So the
    rows of a fit are compared together: those held out in the first spaces or, in a single space,
    those of the first parts.
    """
    labelled = part >= 0
    if labelled.sum() <= COMPARED_ON_ALL:
        return labelled
    if len(spaces) > 1:
        first = spaces[: max(1, round(COMPARED_SHARE * len(spaces)))]
        rows = np.any([space.held_out for space in first], axis=0)
    else:
        rows = labelled & (part < round(COMPARED_SHARE * count_parts(part)))
    return subsample(rows, MAX_COMPARED)


def fit_tasks(
    choices: list[dict[str, Any]], spaces: list[HeadInputs], part: np.ndarray, compared: np.ndarray
) -> list[list[FitTask]]:
    """Return the fits of each candidate, in the same order: its spaces, and the splits of each."""
    splits = {
        fitted_on: [
            (space, train, scored, scored & compared)
            for space in spaces
            for train, scored in cross_validation_splits(space, fitted_on, part)
        ]
        for fitted_on in dict.fromkeys(choice["fitted_on"] for choice in choices)
    }
    return [
        [FitTask(choice, *split) for split in splits[choice["fitted_on"]]] for choice in choices
    ]


def cross_validation_splits(
    space: HeadInputs, fitted_on: str, part: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training rows and the held-out rows to score of each fit in a space.

    Both are bool (N,).
    """
    if fitted_on == "seen":
        return [(subsample(space.seen, MAX_ROWS_PER_FIT), space.held_out)]
    labelled = part >= 0
    rows = labelled if fitted_on == "all" else labelled & ~space.seen
    return [
        (subsample(rows & (part != n), MAX_ROWS_PER_FIT), space.held_out & (part == n))
        for n in range(count_parts(part))
    ]


def fit_all(
    head_class: type[Head], candidates: list[list[FitTask]], y: np.ndarray, seed: int
) -> list[Fit]:
    """Fit the tasks of all candidates in threads; return the fits in no particular order."""

    def fit(tasks: list[FitTask]) -> list[Fit]:
        return _fit_together(head_class, tasks, y, seed)

    return [one for fits in map_in_threads(fit, _groups(head_class, candidates)) for one in fits]


def _groups(head_class: type[Head], candidates: list[list[FitTask]]) -> list[list[FitTask]]:
    """Group tasks for `Head.fit_together`: stacks of one candidate, or candidates on one split."""
    if head_class.STACKED:
        return [
            tasks[start : start + MAX_STACKED]
            for tasks in candidates
            for start in range(0, len(tasks), MAX_STACKED)
        ]
    same_split: dict[int, list[FitTask]] = {}
    for task in (task for tasks in candidates for task in tasks):
        # The tasks of a split share the array of its training rows.
        same_split.setdefault(id(task.train), []).append(task)
    return list(same_split.values())


def _fit_together(
    head_class: type[Head], tasks: list[FitTask], y: np.ndarray, seed: int
) -> list[Fit]:
    heads, data = [], {}
    for choice, space, train, *_ in tasks:
        if len(np.unique(y[train])) < 2:
            raise UserError(
                f"{space.space}: of the rows left to fit a head on, all {train.sum()} are of one "
                "class. Add rows, or run extract with fewer --folds."
            )
        parameters = {name: value for name, value in choice.items() if name != "fitted_on"}
        heads.append(head_class(image_width=space.image_width, seed=seed, **parameters))
        if id(train) not in data:
            data[id(train)] = space.X[train], y[train]
    head_class.fit_together(heads, [data[id(task.train)] for task in tasks])
    return [
        Fit(task, head, predict(head, task.space.X[task.compared]))
        for task, head in zip(tasks, heads, strict=True)
    ]


def predict(head: Head, X: np.ndarray) -> np.ndarray:
    """Predict positives' probability: float64 (N,)."""
    return head.predict_proba(X)[:, 1] if len(X) else np.zeros(0)


def subsample(rows: np.ndarray, maximum: int) -> np.ndarray:
    """Return at most `maximum` of the rows, bool (N,), evenly spaced over the table."""
    indices = np.flatnonzero(rows)
    if len(indices) <= maximum:
        return rows
    sample = np.zeros_like(rows)
    sample[indices[evenly_spaced(len(indices), maximum)]] = True
    return sample
