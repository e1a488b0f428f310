"""One head on the spaces of one kind: fitted part by part, judged on rows that nothing saw.

In each space, a head is fitted on rows that its backbones saw (`seen`), on rows that they did not
see (`unseen`), or on both (`all`): a choice like any other. A row that the backbones did not see
gets its held-out probability from a fit that did not see it either. What the head says of a new
meme is the mean, on the logit scale, of its fits in all spaces.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.errors import UserError
from heads import Entry
from heads.columns import Columns
from heads.nested import PARTS, choose, mean_logit


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


@dataclass(frozen=True)
class _Candidate:
    choice: dict[str, Any]
    models: dict[str, list[Any]]
    held_out: np.ndarray
    fitted_rows: int


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
    candidates = [
        _try(kind, {**parameters, "fitted_on": fitted_on}, spaces, y, part, seed)
        for parameters in entry.grid or kind.GRID
        for fitted_on in rows
    ]
    place, honest = choose([candidate.held_out for candidate in candidates], y, part)
    best = candidates[place]
    final = np.full(len(y), np.nan)
    test = part < 0
    if test.any():
        final[test] = mean_of_fits(best.models, spaces, test)
    seconds = time.perf_counter() - start
    return Fitted(best.models, honest, final, best.choice, best.fitted_rows, seconds)


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


def _try(
    kind: type[Any],
    choice: dict[str, Any],
    spaces: list[Columns],
    y: np.ndarray,
    part: np.ndarray,
    seed: int,
) -> _Candidate:
    """Fit one candidate in every space."""
    parameters = {name: value for name, value in choice.items() if name != "fitted_on"}
    held_out, models, counts = np.full(len(y), np.nan), {}, []
    for space in spaces:
        models[space.space] = []
        for fit, own in fits(space, choice["fitted_on"], part):
            if len(np.unique(y[fit])) < 2:
                raise UserError(
                    f"{space.space}: of the rows left to fit a head on, all {fit.sum()} are of "
                    "one class. Add rows, or run extract with fewer --folds."
                )
            model = kind(image_width=space.image_width, seed=seed, **parameters)
            models[space.space].append(model.fit(space.X[fit], y[fit]))
            if own.any():
                held_out[own] = model.predict_proba(space.X[own])[:, 1]
            counts.append(fit.sum())
    return _Candidate(choice, models, held_out, round(np.mean(counts)))


def fits(space: Columns, fitted_on: str, part: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and held-out rows to score, bool (N,) twice, of each fit in a space."""
    if fitted_on == "seen":
        return [(space.seen, space.held_out)]
    labelled = part >= 0
    rows = labelled if fitted_on == "all" else labelled & ~space.seen
    return [(rows & (part != n), space.held_out & (part == n)) for n in range(PARTS)]
