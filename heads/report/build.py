"""From a finished run to report.html and report.md."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from heads.report import formatting
from heads.report.conclusions import make_conclusions
from heads.report.confusion import count_outcomes, shade_correlation
from heads.report.curves import draw_ranking, draw_reliability, draw_thresholds
from heads.report.finished_run import FinishedRun, read_run
from heads.report.gallery import make_gallery
from heads.report.leaderboard import list_sources, make_leaderboard
from heads.report.panels import draw_contenders, draw_gains, draw_maps, draw_training
from heads.report.run_summary import summarise_run
from runtime.atomic_files import write_text

TEMPLATES = Path(__file__).parent / "templates"

FILTERS = (
    *("count", "decimal", "duration", "figure_text", "joined", "label_name", "markdown_text"),
    *("plural", "signed", "signed_span", "span"),
)
"""Functions of formatting.py that the templates use."""


def write_report(run: Path) -> Path:
    """Write report.html, which needs no other file, and report.md; returns the path of the page.

    Raises UserError if the run is not finished.
    """
    finished = read_run(run)
    shown = _shown(finished)
    markdown = _render("report.md.jinja", shown, html=False)
    page = _render("report.html.jinja", shown | _drawn(finished), html=True)
    write_text(run / "report.md", markdown)
    return write_text(run / "report.html", page)


def _shown(run: FinishedRun) -> dict[str, object]:
    """What both reports are made of."""
    boards = [make_leaderboard(run, rows) for rows in ("held_out", "test")]
    return {
        "name": run.folder.resolve().name,
        "conclusions": make_conclusions(run),
        "ensemble": run.ensemble,
        "boards": [board for board in boards if board],
        "sources": list_sources(run),
        "metric": formatting.METRIC_NAMES[run.best_head().record.metric],
        "check": run.check,
        "facts": summarise_run(run),
    }


def _drawn(run: FinishedRun) -> dict[str, object]:
    """What only a page can show."""
    return {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "contenders": draw_contenders(run),
        "ranking": draw_ranking(run),
        "deciding": [draw_thresholds(run), draw_reliability(run)],
        "confusions": count_outcomes(run),
        "gains": draw_gains(run),
        "alike": shade_correlation(run),
        "training": draw_training(run),
        "maps": draw_maps(run),
        "gallery": make_gallery(run),
    }


def _render(template: str, shown: dict[str, object], html: bool) -> str:
    # Captions and file names are strangers' text: in HTML, all text is escaped.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {name: getattr(formatting, name) for name in FILTERS}
    return environment.get_template(template).render(shown)
