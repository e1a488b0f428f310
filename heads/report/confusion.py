"""Confusion matrices of the ensemble and the correlation matrix of the heads, as tables."""

from dataclasses import dataclass

import numpy as np

from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import CLASSES


@dataclass(frozen=True)
class ConfusionCell:
    """Rows of one true class and one predicted class."""

    rows: int
    share: float
    """Share of the rows of the true class."""
    correct: bool


@dataclass(frozen=True)
class ConfusionMatrix:
    """Cells by true class, then by predicted class: not hateful, hateful."""

    where: str
    """held-out or test."""
    rows: int
    cells: dict[str, list[ConfusionCell]]


@dataclass(frozen=True)
class CorrelationMatrix:
    """Correlation of the heads' held-out logits."""

    names: list[str]
    lines: list[list[tuple[float, float]]]
    """Value, and its shade from 0 (the lowest value in the matrix) to 1."""


def confusion_matrices(run: FinishedRun) -> list[ConfusionMatrix]:
    """Compute one for held-out rows and, if their labels are known, one for test rows."""
    ensemble, label = run.models[ENSEMBLE], run.table.rows.label
    rows = run.held_out_rows
    predicted = ensemble.held_out[rows] > ensemble.row_threshold[rows]
    matrices = [_confusion_matrix("held-out", label[rows], predicted)]
    if len(run.test_rows):
        predicted = ensemble.final[run.test_rows] > ensemble.threshold["value"]
        matrices.append(_confusion_matrix("test", label[run.test_rows], predicted))
    return matrices


def _confusion_matrix(where: str, label: np.ndarray, predicted: np.ndarray) -> ConfusionMatrix:
    cells = {}
    for true, name in enumerate(CLASSES):
        in_class = predicted[label == true]
        counts = [int((~in_class).sum()), int(in_class.sum())]
        cells[name] = [
            ConfusionCell(rows, rows / max(len(in_class), 1), prediction == true)
            for prediction, rows in enumerate(counts)
        ]
    return ConfusionMatrix(where, len(label), cells)


def correlation_matrix(run: FinishedRun) -> CorrelationMatrix | None:
    """Return the correlation matrix of the heads; None if there is only one head."""
    names = [member["name"] for member in run.ensemble.members]
    values = np.array(run.ensemble.correlation, dtype=float).reshape(len(names), len(names))
    if len(names) < 2:
        return None
    # The correlation with constant predictions is undefined.
    low = np.nanmin(values) if np.isfinite(values).any() else 0.0
    shades = np.nan_to_num((values - low) / max(1 - low, 1e-9))
    lines = [list(zip(*line, strict=True)) for line in zip(values, shades, strict=True)]
    return CorrelationMatrix(names, lines)
