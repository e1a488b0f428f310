"""One head on one space: fitted once per fold, judged only on rows that nothing saw.

The rows that the backbones were not fitted on (`unseen`) are cut into grouped, stratified folds.
For each fold the head is fitted without it, so that every unseen row gets a probability from a head
and from backbones that never saw it. What the head says of a new meme is the mean, on the logit
scale, of its fits.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold

from features.errors import UserError
from features.table import Rows, Space
from heads import Entry

FOLDS = 5
CLIP = 1e-6


@dataclass(frozen=True)
class Fitted:
    """A head on one space."""

    models: list[Any]
    """One estimator a fold."""
    held_out: np.ndarray
    """float64 (N,): probability of each unseen row from the fit without it, NaN elsewhere."""
    probability: np.ndarray
    """float64 (N,): mean of all fits on the logit scale."""
    choice: dict[str, Any]
    """The candidate chosen: parameters, and which rows it is fitted on."""
    fitted_rows: int
    """Rows that one fit is fitted on, the mean over folds, without those that stop it early; of the
    joint head, the rows that the backbones are fitted on."""
    seconds: float
    """Time of all candidates."""


@dataclass(frozen=True)
class _Candidate:
    choice: dict[str, Any]
    models: list[Any]
    held_out: np.ndarray
    fitted_rows: int


def view(entry: Entry, image: np.ndarray, text: np.ndarray, joint_logit: np.ndarray) -> np.ndarray:
    """The columns that a head is given: float32 (N, columns)."""
    if entry.view == "joint":
        return joint_logit[:, None]
    if entry.view == "both":
        return np.concatenate([image, text], axis=1)
    return {"image": image, "text": text}[entry.view]


def mean_logit(probabilities: list[np.ndarray]) -> np.ndarray:
    """Mean on the logit scale of arrays (N,), back as probability.

    NaN stands for having no say; where nobody has a say, the mean is NaN.
    """
    logits = logit(np.clip(probabilities, CLIP, 1 - CLIP))
    says = ~np.isnan(logits)
    count = says.sum(axis=0)
    total = np.where(says, logits, 0).sum(axis=0)
    return expit(np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0))


def number_folds(rows: Rows, space: Space, seed: int) -> np.ndarray:
    """Fold of each unseen labelled row, -1 elsewhere: int64 (N,).

    Raises UserError if there are too few of them to be cut.
    """
    unseen = np.flatnonzero(rows.labelled & ~space.seen)
    groups = [len(np.unique(rows.group[unseen[rows.label[unseen] == c]])) for c in (0, 1)]
    if min(groups) < FOLDS:
        raise UserError(
            f"{space.name}: {len(unseen)} rows were left out of fine-tuning. Of near-duplicate "
            f"groups, {groups[0]} hold negative and {groups[1]} positive ones; heads need {FOLDS} "
            "of each. Add rows, or run extract with fewer --folds, so that more are left out."
        )
    numbers = np.full(len(rows), -1)
    for number, (_, own) in enumerate(grouped_folds(rows, unseen, seed)):
        numbers[own] = number
    return numbers


def grouped_folds(rows: Rows, places: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the row numbers `places` into FOLDS stratified folds of whole groups: (others, own)."""
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = splitter.split(places, rows.label[places], rows.group[places])
    return [(places[others], places[own]) for others, own in parts]


def cross_fit(entry: Entry, space: Space, rows: Rows, fold: np.ndarray, seed: int) -> Fitted:
    """Fit every candidate once per fold and choose among them by log loss on unseen rows.

    Candidates are the settings of the head's GRID, each fitted on the unseen rows alone and on
    those with the seen ones. A fold's held-out probabilities come from the candidate that did best
    on the other folds' rows, so that no row is scored to choose what is reported on it.
    """
    start = time.perf_counter()
    X = view(entry, space.image, space.text, space.joint_logit)
    width = space.image.shape[1] if entry.view == "both" else 0
    y = rows.label.astype(np.int64)
    kind = entry.load()
    candidates = [
        _try(kind, width, seed, parameters, fitted_on, X, y, fold, space.seen)
        for parameters in entry.grid or kind.GRID
        for fitted_on in entry.fitted_on
    ]
    best = _best(candidates, y, fold >= 0)
    return Fitted(
        best.models,
        _honest(candidates, y, fold),
        mean_logit([model.predict_proba(X)[:, 1] for model in best.models]),
        best.choice,
        best.fitted_rows,
        time.perf_counter() - start,
    )


def _try(
    kind: type[Any],
    width: int,
    seed: int,
    parameters: dict[str, Any],
    fitted_on: str,
    X: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    seen: np.ndarray,
) -> _Candidate:
    held_out, models, counts = np.full(len(y), np.nan), [], []
    for number in range(FOLDS):
        model = kind(image_width=width, seed=seed, **parameters)
        stop = (fold == (number + 1) % FOLDS) & kind.stops_early
        fit = (fold >= 0) & (fold != number) & ~stop
        if fitted_on == "all":
            fit |= seen
        elif fitted_on == "none":
            fit = seen
        extra = {"eval_set": (X[stop], y[stop])} if kind.stops_early else {}
        models.append(model.fit(X[fit], y[fit], **extra))
        held_out[fold == number] = model.predict_proba(X[fold == number])[:, 1]
        counts.append(fit.sum())
    choice = {**parameters, "fitted_on": fitted_on}
    return _Candidate(choice, models, held_out, round(np.mean(counts)))


def _honest(candidates: list[_Candidate], y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each fold's held-out probabilities, from the candidate that the other folds choose."""
    held_out = np.full(len(y), np.nan)
    for number in range(FOLDS):
        best = _best(candidates, y, (fold >= 0) & (fold != number))
        held_out[fold == number] = best.held_out[fold == number]
    return held_out


def _best(candidates: list[_Candidate], y: np.ndarray, rows: np.ndarray) -> _Candidate:
    """The candidate of least log loss on `rows`; the earlier of equals."""
    return min(
        candidates,
        key=lambda candidate: log_loss(y[rows], np.clip(candidate.held_out[rows], CLIP, 1 - CLIP)),
    )
