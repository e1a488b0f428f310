"""Write report.html and report.md of a finished run."""

from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from heads.evaluation.ratio_intervals import ScoredRows
from heads.evaluation.slices import SliceComparison, compare_slices
from heads.report import formatting
from heads.report.comparison_plots import (
    draw_auroc_intervals,
    draw_learning_curves,
    draw_member_gains,
    draw_pca_maps,
)
from heads.report.conclusions import make_conclusions
from heads.report.confusion import confusion_matrices, correlation_matrix
from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.gallery import make_gallery
from heads.report.leaderboard import list_space_kinds, make_leaderboard
from heads.report.model_card import card_content
from heads.report.roc_reliability_curves import draw_reliability, draw_roc_and_pr, draw_thresholds
from heads.report.run_summary import summarise_run
from runtime.files.atomic_files import write_text

TEMPLATES = Path(__file__).parent / "templates"

FILTERS = (
    *("count", "decimal", "duration", "figure_text", "joined", "label_name", "markdown_text"),
    *("plural", "signed", "signed_span", "span"),
)
"""Functions of formatting.py that the templates use."""


def write_report(run: FinishedRun) -> Path:
    """Write report.html, report.md and model_card.md; return the path of report.html."""
    content = _common_content(run)
    markdown = _render("report.md.jinja", content, html=False)
    page = _render("report.html.jinja", content | _html_content(run), html=True)
    card = _render("model_card.md.jinja", content | card_content(run, markdown), html=False)
    write_text(run.folder / "report.md", markdown)
    write_text(run.folder / "model_card.md", card)
    return write_text(run.folder / "report.html", page)


def _common_content(run: FinishedRun) -> dict[str, object]:
    """Template variables of both reports."""
    boards = [make_leaderboard(run, rows) for rows in ("held_out", "test")]
    return {
        "name": run.folder.resolve().name,
        "conclusions": make_conclusions(run),
        "ensemble": run.ensemble,
        "slices": _slices(run),
        "group_column": run.data.get("group_column"),
        "boards": [board for board in boards if board],
        "space_kinds": list_space_kinds(run),
        "labels": run.doubtful_labels,
        "metric": formatting.METRIC_NAMES[run.best_head().record.metric],
        "check": run.check,
        "summary": summarise_run(run),
    }


def _slices(run: FinishedRun) -> SliceComparison | None:
    """Compare the slices of the held-out rows; None if `extract` was given no group column."""
    if not run.data.get("group_column"):
        return None
    rows, chosen = run.table.rows, run.held_out_rows
    scored = ScoredRows(
        y=rows.label[chosen],
        probability=run.models[ENSEMBLE].held_out[chosen],
        group=rows.group[chosen],
        weight=run.weight[chosen],
        seed=run.seed,
    )
    names = np.array([run.memes[row].slice for row in chosen], dtype=object)
    return compare_slices(scored, names, run.ensemble.threshold["value"])


def _html_content(run: FinishedRun) -> dict[str, object]:
    """Template variables of the HTML report only: style, plots, tables and pictures."""
    return {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "auroc_plot": draw_auroc_intervals(run),
        "ranking_plots": draw_roc_and_pr(run),
        "decision_plots": [draw_thresholds(run), draw_reliability(run)],
        "confusion_matrices": confusion_matrices(run),
        "gains_plot": draw_member_gains(run),
        "correlations": correlation_matrix(run),
        "learning_curves": draw_learning_curves(run),
        "maps": draw_pca_maps(run),
        "gallery": make_gallery(run),
    }


def _render(template: str, content: dict[str, object], html: bool) -> str:
    # Captions and file names are untrusted, so all text is escaped in HTML.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {name: getattr(formatting, name) for name in FILTERS}
    return environment.get_template(template).render(content)
