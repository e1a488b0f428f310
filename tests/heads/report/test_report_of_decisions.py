"""Operating points and the review band in submit's output, in the record and in the report."""

import numpy as np
import pytest
from markupsafe import Markup
from quick_heads import apply_quick_settings

from heads.config import SubmitConfig
from heads.ensemble.saved_ensemble import read_ensemble
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.roc_reliability_curves import _band, draw_roc_and_pr
from heads.report.svg import Canvas
from heads.run import submit
from runtime.files.json_files import read_json, write_json

TARGETS = ["precision>=0.6", "recall>=0.8", "fpr<=0.0001", "cost=1:2"]


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    apply_quick_settings(monkeypatch.setattr)
    monkeypatch.setattr(Canvas, "svg", lambda *_: Markup("<svg></svg>"))


def submit_run(run, *targets, **settings):
    config = SubmitConfig(out=str(run / "solution.csv"), target=[*targets] or None, **settings)
    return submit(config, run)


def reports(run):
    write_report(read_run(run))
    return [(run / f"report.{end}").read_text() for end in ("html", "md")]


def test_targets_are_recorded_printed_and_reported(run, capsys):
    before = (run / "predictions.csv").read_bytes()
    submit_run(run, *TARGETS)
    assert (run / "predictions.csv").read_bytes() == before
    record, output = read_ensemble(run / "heads"), " ".join(capsys.readouterr().out.split())
    assert [point["target"] for point in record.operating_points] == TARGETS
    assert [point["guaranteed"] for point in record.operating_points] == [True, True, False, False]
    assert record.review_band["act_target"] == "precision>=0.6"
    html, markdown = reports(run)
    assert '<section id="decisions">' in html and '<a href="#decisions">' in html
    assert "## Decisions" in markdown and "| `fpr<=0.0001` | – |" in markdown
    for sentence in [p["sentence"] for p in record.operating_points] + [
        record.review_band["sentence"]
    ]:
        assert sentence in output
        assert sentence.replace("<", "&lt;").replace(">", "&gt;") in html
        assert sentence.partition("=")[2].partition("(")[0].rstrip() in markdown
    assert (
        read_json(run / "metrics.json", "submit")["ensemble"]["review_band"] == record.review_band
    )


def test_without_targets_nothing_is_said(run, capsys):
    submit_run(run, *TARGETS)
    capsys.readouterr()
    submit_run(run)
    assert read_ensemble(run / "heads").operating_points == []
    assert "Review band" not in capsys.readouterr().out
    assert all("decisions" not in report.lower() for report in reports(run))


def test_record_of_an_older_version_is_read(run):
    path = run / "heads" / "ensemble.json"
    content = read_json(path, "submit")
    del content["operating_points"], content["review_band"]
    write_json(path, content)
    assert read_ensemble(run / "heads").review_band is None
    reports(run)


def test_rates_follow_the_prior(run):
    shares = []
    for prior in (0.1, 0.9):
        submit_run(run, "recall>=0.8", prior=prior)
        (point,) = read_ensemble(run / "heads").operating_points
        shares.append(point["rates"]["precision"]["value"])
    assert np.diff(shares)[0] > 0.2


def test_constant_answer_is_compared_at_the_prior_too(run):
    submit_run(run, prior=0.8)
    assert all("more frequent class gives 0.800" in report for report in reports(run))


def test_curves_are_drawn_at_the_prior_too(run):
    submit_run(run, prior=0.8)
    finished = read_run(run)
    assert "the share of hateful memes, 0.80" in draw_roc_and_pr(finished)[1].caption
    # At recall 1, all memes are flagged, and the precision is the share of hateful memes.
    low, high = _band(finished, "pr", np.array([1.0]))
    assert low[0] < 0.8 < high[0] < 0.9
