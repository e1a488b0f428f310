"""Tables of metrics: all heads and the ensemble, and each head by kind of space."""

from dataclasses import dataclass
from typing import Any

from heads.report.finished_run import EvaluatedModel, FinishedRun
from heads.report.formatting import METRIC_NAMES, decimal, span


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    text: str
    note: str = ""
    """Shown in small print: an interval."""
    best: bool = False
    """Best of its column."""


@dataclass(frozen=True)
class Line:
    """One head, or the ensemble."""

    name: str
    role: str
    """ensemble, member, dropped or reference."""
    cells: list[Cell]


@dataclass(frozen=True)
class Leaderboard:
    """Metrics of all heads and the ensemble on one set of rows."""

    rows: str
    """held_out or test."""
    count: int
    positives: int
    columns: list[str]
    lines: list[Line]


METRIC_COLUMNS = (
    ("auroc", "AUROC", max),
    ("average_precision", "AP", max),
    ("accuracy_default", "accuracy @ 0.5", max),
    ("accuracy_tuned", "accuracy @ t", max),
    ("f1_tuned", "F1 @ t", max),
    ("brier", "Brier", min),
    ("calibration_error", "calibration error", min),
)
"""Key in the scores, heading, and whether the highest or the lowest value is best."""


def make_leaderboard(run: FinishedRun, rows: str) -> Leaderboard | None:
    """Build the table for `held_out` or `test` rows, sorted by AUROC; None without labels."""
    scores = run.ensemble.scores[rows]
    if not scores:
        return None
    models = sorted(run.models.values(), key=lambda model: -_value(model, rows, "auroc"))
    metrics = _metric_columns(run)
    best = {
        key: best_of(_value(model, rows, key) for model in models if not _is_reference(model))
        for key, _, best_of in metrics
    }
    lines = [
        Line(
            model.name,
            _role(run, model),
            [_cell(model, rows, key, best[key]) for key, _, _ in metrics]
            + _threshold_and_folds(model, rows),
        )
        for model in models
    ]
    extra = ["t", "folds"] if rows == "held_out" else ["t"]
    columns = [heading for _, heading, _ in metrics] + extra
    return Leaderboard(rows, scores["rows"], scores["positives"], columns, lines)


def _threshold_and_folds(model: EvaluatedModel, rows: str) -> list[Cell]:
    """The threshold and, for held-out rows, the range of the AUROC over folds."""
    threshold = Cell(decimal(model.threshold["value"], 2))
    if rows == "test":
        return [threshold]
    folds = model.scores["fold_auroc"]
    return [threshold, Cell(span((min(folds), max(folds))) if len(folds) > 1 else "–")]


def _metric_columns(run: FinishedRun) -> list[tuple]:
    """METRIC_COLUMNS, plus the metric that thresholds are tuned for if it is not among them."""
    metric = run.best_head().record.metric
    key = f"{metric}_tuned"
    if key in {key for key, _, _ in METRIC_COLUMNS}:
        return [*METRIC_COLUMNS]
    return [*METRIC_COLUMNS, (key, f"{METRIC_NAMES[metric]} @ t", max)]


def _value(model: EvaluatedModel, rows: str, key: str) -> float:
    score = model.scores[rows][key]
    if score is None:
        return float("nan")
    return score["value"] if isinstance(score, dict) else score


def _cell(model: EvaluatedModel, rows: str, key: str, best: float) -> Cell:
    score = model.scores[rows][key]
    if score is None:
        return Cell("–")
    value = _value(model, rows, key)
    note = span(score["interval"]) if isinstance(score, dict) else ""
    return Cell(decimal(value), note, value == best and not _is_reference(model))


def _is_reference(model: EvaluatedModel) -> bool:
    return model.record is not None and not model.record.member


def _role(run: FinishedRun, model: EvaluatedModel) -> str:
    if model.record is None:
        return "ensemble"
    if _is_reference(model):
        return "reference"
    return "member" if run.ensemble.weights.get(model.name, 0) > 0 else "dropped"


@dataclass(frozen=True)
class SpaceKindTable:
    """AUROC of each head in each kind of space."""

    kinds: list[str]
    lines: list[tuple[EvaluatedModel, list[dict[str, Any] | None]]]
    """Each head with its entry in HeadRecord.kinds for each of `kinds`, None if it has none."""


def list_space_kinds(run: FinishedRun) -> SpaceKindTable:
    """Build the table; the kinds of the feature table come first."""
    names = [kind["name"] for head in run.heads() for kind in head.record.kinds]
    kinds = list(dict.fromkeys([*run.table.kinds(), *names]))
    lines = []
    for head in run.heads():
        by_name = {kind["name"]: kind for kind in head.record.kinds}
        lines.append((head, [by_name.get(kind) for kind in kinds]))
    return SpaceKindTable(kinds, lines)
