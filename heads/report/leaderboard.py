"""Heads by figures, as a table that both pages show."""

from dataclasses import dataclass
from typing import Any

from heads.report.finished_run import Contender, FinishedRun
from heads.report.formatting import METRIC_NAMES, decimal, span


@dataclass(frozen=True)
class Cell:
    """One entry of a table."""

    text: str
    note: str = ""
    """Small print: an interval, a spread."""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One contender."""

    name: str
    role: str
    """ensemble, member, dropped or reference."""
    cells: list[Cell]


@dataclass(frozen=True)
class Leaderboard:
    """A table of all contenders on one set of rows."""

    rows: str
    """held_out or test."""
    count: int
    positives: int
    columns: list[str]
    lines: list[Line]


FIGURES = (
    ("auroc", "AUROC", max),
    ("average_precision", "AP", max),
    ("accuracy_default", "accuracy @ 0.5", max),
    ("accuracy_tuned", "accuracy @ t", max),
    ("f1_tuned", "F1 @ t", max),
    ("brier", "Brier", min),
    ("calibration_error", "calibration error", min),
)
"""Key, heading, and which end of the column is good."""


def make_leaderboard(run: FinishedRun, rows: str) -> Leaderboard | None:
    """The table of `held_out` or `test` rows, best AUROC first; None if no labels are known."""
    scores = run.ensemble.scores[rows]
    if not scores:
        return None
    order = sorted(run.contenders.values(), key=lambda one: -_value(one, rows, "auroc"))
    figures = _figures(run)
    best = {
        key: end(_value(one, rows, key) for one in order if not _is_reference(one))
        for key, _, end in figures
    }
    lines = [
        Line(
            one.name,
            _role(run, one),
            [_cell(one, rows, key, best[key]) for key, _, _ in figures] + _more(one, rows),
        )
        for one in order
    ]
    more = ["t", "folds"] if rows == "held_out" else ["t"]
    columns = [heading for _, heading, _ in figures] + more
    return Leaderboard(rows, scores["rows"], scores["positives"], columns, lines)


def _more(one: Contender, rows: str) -> list[Cell]:
    """The threshold and, on held-out rows, how far the folds lie apart."""
    threshold = Cell(decimal(one.threshold["value"], 2))
    if rows == "test":
        return [threshold]
    folds = one.scores["fold_auroc"]
    return [threshold, Cell(span((min(folds), max(folds))) if folds else "–")]


def _figures(run: FinishedRun) -> list[tuple]:
    """The usual ones, and the metric that thresholds are tuned for if it is none of them."""
    metric = run.best_head().record.metric
    key = f"{metric}_tuned"
    known = {key for key, _, _ in FIGURES}
    return [*FIGURES] if key in known else [*FIGURES, (key, f"{METRIC_NAMES[metric]} @ t", max)]


def _value(one: Contender, rows: str, key: str) -> float:
    figure = one.scores[rows][key]
    if figure is None:
        return float("nan")
    return figure["value"] if isinstance(figure, dict) else figure


def _cell(one: Contender, rows: str, key: str, best: float) -> Cell:
    figure = one.scores[rows][key]
    if figure is None:
        return Cell("–")
    value = _value(one, rows, key)
    note = span(figure["interval"]) if isinstance(figure, dict) else ""
    return Cell(decimal(value), note, value == best and not _is_reference(one))


def _is_reference(one: Contender) -> bool:
    return one.record is not None and not one.record.member


def _role(run: FinishedRun, one: Contender) -> str:
    if one.record is None:
        return "ensemble"
    if _is_reference(one):
        return "reference"
    return "member" if run.ensemble.weights.get(one.name, 0) > 0 else "dropped"


@dataclass(frozen=True)
class Sources:
    """Of each head: what it says in each kind of space, and whether that is listened to."""

    kinds: list[str]
    lines: list[tuple[Contender, list[dict[str, Any] | None]]]
    """Each head with what HeadRecord.kinds holds, in the order of `kinds`."""


def list_sources(run: FinishedRun) -> Sources:
    """The makeup of each head; kinds of embeddings first."""
    named = [kind["name"] for one in run.heads() for kind in one.record.kinds]
    kinds = list(dict.fromkeys([*run.table.kinds(), *named]))
    lines = []
    for one in run.heads():
        known = {kind["name"]: kind for kind in one.record.kinds}
        lines.append((one, [known.get(kind) for kind in kinds]))
    return Sources(kinds, lines)
