"""Cross-validation: fit one head in every space; select its hyperparameters.

In each space, a head is fitted on rows that the backbones were fitted on (`seen`), on other rows
(`unseen`), or on both (`all`). This choice is selected like a hyperparameter. A row that the
backbones did not see gets its held-out probability from a fit that did not see it either. The
prediction for a new meme is the mean, on the logit scale, of all fits in all spaces.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from heads.base import Head, evenly_spaced
from heads.evaluation.out_of_fold import best_by_log_loss, count_parts, mean_logit
from heads.fitting.head_inputs import HeadInputs
from heads.fitting.parallel_fits import map_in_threads
from heads.registry import Entry
from runtime.errors import UserError

MAX_ROWS_PER_FIT = 100_000
"""A larger table is subsampled for each fit: a hundred columns need no more rows."""

MAX_ROWS_TO_SELECT_ON = 100_000
"""Candidates are compared on at most so many rows."""

MAX_STACKED = 5
"""Fits in one group of a head that stacks them. Larger stacks are hardly faster, and keep fewer
cores busy."""


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


class _FitTask(NamedTuple):
    """One fit to do: a candidate, in a space, on some rows."""

    choice: dict[str, Any]
    space: HeadInputs
    train: np.ndarray
    """bool (N,): rows to fit on."""
    scored: np.ndarray
    """bool (N,): held-out rows to predict."""


class _FitResult(NamedTuple):
    task: _FitTask
    model: Any
    probability: np.ndarray
    """float64: probabilities of those of the task's `scored` rows that candidates are selected on.
    """


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

    Of a large table, candidates are selected on a sample of rows. The selected ones predict all.
    """
    y, head_class = label.astype(np.int64), entry.load()
    choices = {kind: _choices(entry, head_class, spaces) for kind, spaces in inputs.items()}
    groups = [
        group
        for kind, spaces in inputs.items()
        for group in _fit_groups(head_class, choices[kind], spaces, part)
    ]
    sample = _subsample(part >= 0, MAX_ROWS_TO_SELECT_ON)

    def fit(tasks: list[_FitTask]) -> list[_FitResult]:
        return _fit_together(head_class, tasks, y, seed, sample)

    fitted = map_in_threads(fit, groups)
    results = [result for group in fitted for result in group]
    return {
        kind: _select(choices[kind], spaces, results, y, part, sample)
        for kind, spaces in inputs.items()
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


def _select(
    choices: list[dict[str, Any]],
    spaces: list[HeadInputs],
    results: list[_FitResult],
    y: np.ndarray,
    part: np.ndarray,
    sample: np.ndarray,
) -> FittedHead:
    """Select one of the candidates of a kind, and predict test rows with it."""
    by_choice = [[r for r in results if r.task.choice is choice] for choice in choices]
    held_out = [_held_out(of_choice, sample) for of_choice in by_choice]
    best, best_without = best_by_log_loss(held_out, y, part)
    out_of_fold = np.full(len(y), np.nan)
    for index in set(best_without):
        rows = np.isin(part, np.flatnonzero(best_without == index))
        _predict_others(by_choice[index], held_out[index], rows & ~sample)
        out_of_fold[rows] = held_out[index][rows]
    selected = by_choice[best]
    models = {s.space: [r.model for r in selected if r.task.space is s] for s in spaces}
    final = np.full(len(y), np.nan)
    test = part < 0
    if test.any():
        predictions = map_in_threads(lambda r: _predict(r.model, r.task.space.X[test]), selected)
        final[test] = mean_logit(predictions)
    fitted_rows = round(np.mean([result.task.train.sum() for result in selected]))
    return FittedHead(models, out_of_fold, final, choices[best], fitted_rows)


def average_predictions(
    models: dict[str, list[Any]], spaces: list[HeadInputs], rows: np.ndarray
) -> np.ndarray:
    """Average the probabilities of `rows`, bool (N,), over all fits on the logit scale."""
    probabilities = [
        both[:, 1]
        for fits, X in ((models[space.space], space.X[rows]) for space in spaces)
        for both in type(fits[0]).predict_together(fits, X)
    ]
    return mean_logit(probabilities)


def _fit_groups(
    head_class: type[Head],
    choices: list[dict[str, Any]],
    spaces: list[HeadInputs],
    part: np.ndarray,
) -> list[list[_FitTask]]:
    """Return all fits, in groups for `Head.fit_together`."""
    groups = []
    for fitted_on in dict.fromkeys(choice["fitted_on"] for choice in choices):
        splits = [
            (space, *rows)
            for space in spaces
            for rows in cross_validation_splits(space, fitted_on, part)
        ]
        tasks = [
            [_FitTask(choice, *split) for split in splits]
            for choice in choices
            if choice["fitted_on"] == fitted_on
        ]
        if head_class.STACKED:
            stacks = range(0, len(splits), MAX_STACKED)
            groups += [fits[start : start + MAX_STACKED] for fits in tasks for start in stacks]
        else:
            groups += [list(candidates) for candidates in zip(*tasks, strict=True)]
    return groups


def _fit_together(
    head_class: type[Head], tasks: list[_FitTask], y: np.ndarray, seed: int, sample: np.ndarray
) -> list[_FitResult]:
    heads, data = [], {}
    for choice, space, train, _ in tasks:
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
        _FitResult(task, head, _predict(head, task.space.X[task.scored & sample]))
        for task, head in zip(tasks, heads, strict=True)
    ]


def _predict(head: Head, X: np.ndarray) -> np.ndarray:
    return head.predict_proba(X)[:, 1] if len(X) else np.zeros(0)


def _held_out(results: list[_FitResult], sample: np.ndarray) -> np.ndarray:
    """Collect a candidate's held-out probabilities: float64 (N,), NaN outside of the sample."""
    held_out = np.full(len(sample), np.nan)
    for result in results:
        held_out[result.task.scored & sample] = result.probability
    return held_out


def _predict_others(results: list[_FitResult], held_out: np.ndarray, others: np.ndarray) -> None:
    """Set a candidate's held-out probabilities of other rows, bool (N,)."""
    if others.any():

        def predict(result: _FitResult) -> None:
            rows = result.task.scored & others
            held_out[rows] = _predict(result.model, result.task.space.X[rows])

        map_in_threads(predict, results)


def cross_validation_splits(
    space: HeadInputs, fitted_on: str, part: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training rows and the held-out rows to score of each fit in a space.

    Both are bool (N,).
    """
    if fitted_on == "seen":
        return [(_subsample(space.seen, MAX_ROWS_PER_FIT), space.held_out)]
    labelled = part >= 0
    rows = labelled if fitted_on == "all" else labelled & ~space.seen
    return [
        (_subsample(rows & (part != n), MAX_ROWS_PER_FIT), space.held_out & (part == n))
        for n in range(count_parts(part))
    ]


def _subsample(rows: np.ndarray, maximum: int) -> np.ndarray:
    """Return at most `maximum` of the rows, bool (N,), evenly spaced over the table."""
    indices = np.flatnonzero(rows)
    if len(indices) <= maximum:
        return rows
    sample = np.zeros_like(rows)
    sample[indices[evenly_spaced(len(indices), maximum)]] = True
    return sample
