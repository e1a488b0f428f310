"""One head on the spaces of one kind: fitted part by part, judged on rows that nothing saw.

In each space, a head is fitted on rows that its backbones saw (`seen`), on rows that they did not
see (`unseen`), or on both (`all`): a choice like any other. A row that the backbones did not see
gets its held-out probability from a fit that did not see it either. What the head says of a new
meme is the mean, on the logit scale, of its fits in all spaces.
"""

import time
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from heads.evaluation.out_of_fold import PARTS, choose, mean_logit
from heads.fitting.head_inputs import Columns
from heads.fitting.parallel_fits import in_threads
from heads.registry import Entry
from runtime.errors import UserError

MOST_ROWS = 100_000
"""Rows that one fit is given, of however many: a hundred columns need no more."""


@dataclass(frozen=True)
class Fitted:
    """A head on the spaces of one kind."""

    models: dict[str, list[Any]]
    """The estimators of each space."""
    held_out: np.ndarray
    """float64 (N,): probability of each held-out row from a fit without it, NaN elsewhere."""
    final: np.ndarray
    """float64 (N,): of each test row the mean of all fits on the logit scale, NaN elsewhere."""
    choice: dict[str, Any]
    """The candidate chosen: parameters, and which rows it is fitted on."""
    fitted_rows: int
    """Rows that one fit is fitted on, the mean over fits; of the joint head, those of the
    backbones."""
    seconds: float
    """Time of all candidates."""


class _Job(NamedTuple):
    """One fit: of a candidate, in a space, on some rows."""

    choice: dict[str, Any]
    space: Columns
    fit: np.ndarray
    """bool (N,): rows to fit on."""
    own: np.ndarray
    """bool (N,): held-out rows to score."""


class _Done(NamedTuple):
    model: Any
    said: np.ndarray
    """float64: probability of each of the job's own rows."""


def cross_fit(
    entry: Entry, spaces: list[Columns], label: np.ndarray, part: np.ndarray, seed: int
) -> Fitted:
    """Fit every candidate in every space and choose among them by log loss on held-out rows.

    `label` int (N,) and `part` int (N,), see `cut_parts`. Candidates are the head's GRID, each with
    each kind of rows to fit on. The held-out probabilities of a part come from the candidate that
    did best on the other parts, so that no row is scored to choose what is reported on it.
    """
    start = time.perf_counter()
    y = label.astype(np.int64)
    kind = entry.load()
    rows = entry.fitted_on if any(s.seen.any() for s in spaces) else ("unseen",)
    choices = [
        {**parameters, "fitted_on": fitted_on}
        for parameters, fitted_on in product(entry.grid or kind.GRID, rows)
    ]
    jobs = [
        _Job(choice, space, fit, own)
        for choice in choices
        for space in spaces
        for fit, own in fits(space, choice["fitted_on"], part)
    ]
    done = in_threads(lambda job: _fit(kind, job, y, seed), jobs)
    place, honest = choose([_held_out(c, jobs, done, len(y)) for c in choices], y, part)
    best = [
        (job, one.model)
        for job, one in zip(jobs, done, strict=True)
        if job.choice is choices[place]
    ]
    models = {s.space: [model for job, model in best if job.space is s] for s in spaces}
    final = np.full(len(y), np.nan)
    test = part < 0
    if test.any():
        final[test] = mean_of_fits(models, spaces, test)
    fitted_rows = round(np.mean([job.fit.sum() for job, _ in best]))
    seconds = time.perf_counter() - start
    return Fitted(models, honest, final, choices[place], fitted_rows, seconds)


def mean_of_fits(
    models: dict[str, list[Any]], spaces: list[Columns], rows: np.ndarray
) -> np.ndarray:
    """Mean on the logit scale of what all fits in all spaces say of `rows`, bool (N,)."""
    said = [
        model.predict_proba(space.X[rows])[:, 1]
        for space in spaces
        for model in models[space.space]
    ]
    return mean_logit(said)


def _fit(kind: type[Any], job: _Job, y: np.ndarray, seed: int) -> _Done:
    space, fit = job.space, job.fit
    if len(np.unique(y[fit])) < 2:
        raise UserError(
            f"{space.space}: of the rows left to fit a head on, all {fit.sum()} are of one class. "
            "Add rows, or run extract with fewer --folds."
        )
    parameters = {name: value for name, value in job.choice.items() if name != "fitted_on"}
    model = kind(image_width=space.image_width, seed=seed, **parameters)
    model.fit(space.X[fit], y[fit])
    own = job.own.any()
    return _Done(model, model.predict_proba(space.X[job.own])[:, 1] if own else np.zeros(0))


def _held_out(
    choice: dict[str, Any], jobs: list[_Job], done: list[_Done], count: int
) -> np.ndarray:
    """What a candidate says of every held-out row: float64 (count,), NaN elsewhere."""
    held_out = np.full(count, np.nan)
    for job, one in zip(jobs, done, strict=True):
        if job.choice is choice:
            held_out[job.own] = one.said
    return held_out


def fits(space: Columns, fitted_on: str, part: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and held-out rows to score, bool (N,) twice, of each fit in a space."""
    if fitted_on == "seen":
        return [(_thinned(space.seen), space.held_out)]
    labelled = part >= 0
    rows = labelled if fitted_on == "all" else labelled & ~space.seen
    return [(_thinned(rows & (part != n)), space.held_out & (part == n)) for n in range(PARTS)]


def _thinned(rows: np.ndarray) -> np.ndarray:
    """At most MOST_ROWS of the rows, evenly spread over the table."""
    places = np.flatnonzero(rows)
    if len(places) <= MOST_ROWS:
        return rows
    kept = np.zeros_like(rows)
    kept[places[np.linspace(0, len(places) - 1, MOST_ROWS).astype(int)]] = True
    return kept
