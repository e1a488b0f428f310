"""The report shows the first labels in doubt, and what can be done about them."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import Markup
from test_report import Page

from features.hdf5_store import read_features
from heads.ensemble.saved_ensemble import read_ensemble_probabilities, save_ensemble_probabilities
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.svg import Canvas


def listed(run):
    with (run / "label_issues.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_reports_and_card_give_the_count_of_label_issues_csv(reported_run):
    lines, page = listed(reported_run), Page(reported_run / "report.html")
    assert page.shows(f"{len(lines)} are in doubt")
    assert page.shows("a suspicion, not a proof")
    for name in ("report.md", "model_card.md"):
        assert f"{len(lines)} are in doubt" in (reported_run / name).read_text()
    card = " ".join((reported_run / "model_card.md").read_text().split())
    assert f"{len(lines)} are suspected to be wrong" in card


def test_first_issues_are_shown_with_blurred_pictures_one_per_group(reported_run):
    lines = listed(reported_run)
    section = (reported_run / "report.html").read_text().split('id="labels"')[1]
    section = section.split("</section>")[0]
    shown = re.findall(r'class="id">(\d+)\. (\d+) <small>', section)
    assert shown[0] == ("1", lines[0]["id"])
    assert set(shown) <= {(line["rank"], line["id"]) for line in lines}
    assert 1 < len(shown) <= 12
    assert section.count('<label class="picture">') == len(shown)
    contradicted = [line for line in lines if line["contradiction"]]
    assert any(line["contradicting_id"] in section for line in contradicted)


@pytest.mark.usefixtures("quick")
def test_a_run_without_issues_says_so(run, monkeypatch):
    monkeypatch.setattr(Canvas, "svg", lambda *_: Markup("<svg></svg>"))
    label = read_features(run / "features.h5", embeddings=False).rows.label
    sure = read_ensemble_probabilities(run / "heads")
    right = np.where(np.isnan(sure.held_out), np.nan, np.where(label == 1, 0.9, 0.1))
    save_ensemble_probabilities(run / "heads", replace(sure, held_out=right))
    page = Page(write_report(read_run(run)))
    assert page.shows("none is in doubt") and "show-labels" not in page.source
    assert page.open == []
    assert "\n\n\n" not in (run / "report.md").read_text()
