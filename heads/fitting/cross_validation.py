"""Cross-validation: fit one head in every space; select its hyperparameters.

In each space, a head is fitted on rows that the backbones were fitted on (`seen`), on other rows
(`unseen`), or on both (`all`). This choice is selected like a hyperparameter. A row that the
backbones did not see gets its held-out probability from a fit that did not see it either. The
prediction for a new meme is the mean, on the logit scale, of all fits in all spaces.
"""

import os
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from heads.base import Head
from heads.evaluation.out_of_fold import best_by_log_loss, mean_logit
from heads.fitting.candidate_fits import (
    Fit,
    FitTask,
    compared_rows,
    fit_all,
    fit_tasks,
    predict,
)
from heads.fitting.head_inputs import HeadInputs
from heads.fitting.parallel_fits import map_in_threads
from heads.registry import Entry


@dataclass(frozen=True)
class FittedHead:
    """A head fitted on the spaces of one kind."""

    models: dict[str, list[Any]]
    """The estimators of each space."""
    held_out: np.ndarray
    """float64 (N,): probability of each held-out row from a fit without it, NaN elsewhere."""
    final: np.ndarray
    """float64 (N,): of each test row the mean of all fits on the logit scale, NaN elsewhere."""
    choice: dict[str, Any]
    """The selected hyperparameters, and `fitted_on`: the rows that it is fitted on."""
    fitted_rows: int
    """Mean number of training rows of a fit; of the joint head, those of the backbones."""


class _Selection(NamedTuple):
    """The candidate selected in one kind of space."""

    tasks: list[FitTask]
    held_out: np.ndarray
    """float64 (N,): probability of each row that candidates are compared on, NaN elsewhere."""


def cross_validate(
    entry: Entry,
    inputs: dict[str, list[HeadInputs]],
    label: np.ndarray,
    part: np.ndarray,
    seed: int,
) -> dict[str, FittedHead]:
    """Fit every candidate in every space; select the one with the lowest held-out log loss.

    `inputs` are the spaces of each kind, and a candidate is selected for each kind. `label` int
    (N,) and `part` int (N,), see `assign_parts`. The candidates are all combinations of the head's
    GRID with `fitted_on`. The held-out probabilities of a part come from the candidate that is best
    on the other parts, so that no row is scored with a choice that it influenced.

    Of a large table, candidates are compared on some of the rows, see `compared_rows`. Only the
    selected ones are fitted to score the others.
    """
    y, head_class = label.astype(np.int64), entry.load()
    candidates = {
        kind: fit_tasks(
            _choices(entry, head_class, spaces), spaces, part, compared_rows(spaces, part)
        )
        for kind, spaces in inputs.items()
    }

    def fit(tasks: list[list[FitTask]]) -> dict[int, Fit]:
        # All kinds at once, so that no core is idle at the end of each.
        return {id(one.task): one for one in fit_all(head_class, tasks, y, seed)}

    compared = fit([_compared(tasks) for of_kind in candidates.values() for tasks in of_kind])
    selected = {kind: _select(of_kind, compared, y, part) for kind, of_kind in candidates.items()}
    others = fit([[t for t in one.tasks if id(t) not in compared] for one in selected.values()])
    fits = compared | others
    return {
        kind: _predict_others(one, [fits[id(task)] for task in one.tasks], inputs[kind], part < 0)
        for kind, one in selected.items()
    }


def _choices(
    entry: Entry, head_class: type[Head], spaces: list[HeadInputs]
) -> list[dict[str, Any]]:
    """Return the candidates, the most conservative first."""
    row_sets = entry.fitted_on if any(s.seen.any() for s in spaces) else ("unseen",)
    return [
        {**parameters, "fitted_on": fitted_on}
        for parameters, fitted_on in product(entry.grid or head_class.GRID, row_sets)
    ]


def _compared(tasks: list[FitTask]) -> list[FitTask]:
    """Return the tasks that score rows that candidates are compared on."""
    return [task for task in tasks if task.compared.any()]


def _select(
    candidates: list[list[FitTask]], fits: dict[int, Fit], y: np.ndarray, part: np.ndarray
) -> _Selection:
    """Select a candidate; predict each part with the one that is best on the other parts."""
    probabilities = []
    for tasks in candidates:
        probability = np.full(len(y), np.nan)
        for task in _compared(tasks):
            probability[task.compared] = fits[id(task)].probability
        probabilities.append(probability)
    best, best_without = best_by_log_loss(probabilities, y, part)
    held_out = np.full(len(y), np.nan)
    for number, index in enumerate(best_without):
        held_out[part == number] = probabilities[index][part == number]
    return _Selection(candidates[best], held_out)


def _predict_others(
    selection: _Selection, fits: list[Fit], spaces: list[HeadInputs], test: np.ndarray
) -> FittedHead:
    """Predict test rows, bool (N,), and the held-out rows that candidates were not compared on."""
    held_out, final = selection.held_out, np.full(len(test), np.nan)

    def predict_held_out(fit: Fit) -> None:
        others = fit.task.scored & ~fit.task.compared
        held_out[others] = predict(fit.model, fit.task.space.X[others])

    map_in_threads(predict_held_out, fits)
    models = {s.space: [fit.model for fit in fits if fit.task.space is s] for s in spaces}
    for of_space in models.values():
        type(of_space[0]).share(of_space)
    # A row's probability does not depend on the rows beside it, so threads can share the rows.
    parts = [rows for rows in np.array_split(np.flatnonzero(test), os.cpu_count()) if len(rows)]
    averages = map_in_threads(lambda rows: average_predictions(models, spaces, rows), parts)
    for rows, average in zip(parts, averages, strict=True):
        final[rows] = average
    fitted_rows = round(np.mean([fit.task.train.sum() for fit in fits]))
    return FittedHead(models, held_out, final, fits[0].task.choice, fitted_rows)


def average_predictions(
    models: dict[str, list[Any]], spaces: list[HeadInputs], rows: np.ndarray
) -> np.ndarray:
    """Average the probabilities of `rows` (N,), a mask or indices, over all fits as logits."""
    probabilities = [
        both[:, 1]
        for fits, X in ((models[space.space], space.X[rows]) for space in spaces)
        for both in type(fits[0]).predict_together(fits, X)
    ]
    return mean_logit(probabilities)
