"""How often the ensemble is right about each class, and how alike the heads are, as tables."""

from dataclasses import dataclass

import numpy as np

from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import CLASSES


@dataclass(frozen=True)
class Outcome:
    """Rows of one class that were given one answer."""

    rows: int
    share: float
    """Of the rows of that class."""
    right: bool


@dataclass(frozen=True)
class Confusion:
    """Counts by true class, then by answer: not hateful, hateful."""

    where: str
    rows: int
    outcomes: dict[str, list[Outcome]]


@dataclass(frozen=True)
class Correlation:
    """Of the heads' held-out logits."""

    names: list[str]
    lines: list[list[tuple[float, float]]]
    """Value, and its shade from 0 (the least of the table) to 1."""


def count_outcomes(run: FinishedRun) -> list[Confusion]:
    """The ensemble's decisions on held-out rows and, if labels are known, on test rows."""
    one, label = run.contenders[ENSEMBLE], run.table.rows.label
    held_out = one.held_out[run.held_out] > one.row_threshold[run.held_out]
    found = [_confusion("held-out", label[run.held_out], held_out)]
    if len(run.test):
        decided = one.final[run.test] > one.threshold["value"]
        found.append(_confusion("test", label[run.test], decided))
    return found


def _confusion(where: str, label: np.ndarray, decision: np.ndarray) -> Confusion:
    outcomes = {}
    for true, name in enumerate(CLASSES):
        answers = decision[label == true]
        counts = [int((~answers).sum()), int(answers.sum())]
        outcomes[name] = [
            Outcome(rows, rows / max(len(answers), 1), said == true)
            for said, rows in enumerate(counts)
        ]
    return Confusion(where, len(label), outcomes)


def shade_correlation(run: FinishedRun) -> Correlation | None:
    """The table of correlations; None if there is one head only."""
    names = [member["name"] for member in run.ensemble.members]
    values = np.array(run.ensemble.correlation, dtype=float).reshape(len(names), len(names))
    if len(names) < 2:
        return None
    # A head that always says the same has no correlation.
    low = np.nanmin(values) if np.isfinite(values).any() else 0.0
    shades = np.nan_to_num((values - low) / max(1 - low, 1e-9))
    lines = [list(zip(*line, strict=True)) for line in zip(values, shades, strict=True)]
    return Correlation(names, lines)
