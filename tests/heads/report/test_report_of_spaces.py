"""The report of runs with and without fine-tuned spaces."""

import planted
import pytest
from made_up_run import write_finished_run

from heads.report.build import write_report
from heads.report.finished_run import read_run

pytestmark = pytest.mark.usefixtures("quick", "no_plots")


def test_report_says_whether_fine_tuning_pays(tmp_path):
    write_finished_run(tmp_path, planted.table("xor", strength=2.5), heads="linear,knn,svm")
    text = write_report(read_run(tmp_path)).with_suffix(".md").read_text()
    assert "ine-tuning pays" in text or "Fine-tuning does not pay" in text
    assert "no fine-tuning" in text


def test_report_of_a_run_without_fine_tuning(tmp_path):
    features = planted.table("linear", spaces=("pretrained", "lexical"))
    write_finished_run(tmp_path, features, heads="linear,svm")
    text = write_report(read_run(tmp_path)).with_suffix(".md").read_text()
    assert "ine-tuning pays" not in text and "svm" in text
