"""The report compares slices if `extract` was given a group column."""

import pytest
from made_up_run import HOSTILE_CAPTION
from markupsafe import Markup
from quick_heads import apply_quick_settings
from test_report import change_memes, rewrite

from heads.evaluation import slices
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.svg import Canvas


@pytest.fixture(autouse=True)
def quick_report(monkeypatch):
    apply_quick_settings(monkeypatch.setattr)
    monkeypatch.setattr(Canvas, "svg", lambda *_: Markup("<svg></svg>"))
    monkeypatch.setattr(slices, "MIN_GROUPS", 5)


def with_slices(run, name):
    change_memes(run, lambda meme: meme.update(slice=name(int(meme["id"]))))
    rewrite(run / "data.json", lambda content: content.update(group_column="language"))
    write_report(read_run(run))
    return [(run / f"report.{end}").read_text() for end in ("html", "md")]


def test_slices_are_compared_in_both_reports(run):
    html, markdown = with_slices(run, lambda number: ["en", "hi", HOSTILE_CAPTION][number // 3 % 3])
    assert '<section id="slices">' in html and "Slices by language" in html
    assert "## Slices by language" in markdown
    assert "The largest gap is in the" in html and "The largest gap is in the" in markdown
    assert '<th scope="row">en</th>' in html and "\n| hi | " in markdown
    assert "<script>" not in html and "<script>" not in markdown


def test_too_few_rows_in_every_slice_leave_a_sentence(run):
    html, markdown = with_slices(run, lambda number: str(number))
    assert "slices with too few rows are left out" in html
    assert "The largest gap" not in markdown and "\n\n\n" not in markdown


def test_runs_without_a_group_column_have_no_slices(run):
    write_report(read_run(run))
    assert "slices" not in (run / "report.html").read_text().lower()
