"""The model card says what the run's own files say."""

import json
import re
import shutil

import pytest
from huggingface_hub import ModelCard

from features.hdf5_store import read_features
from heads.ensemble.saved_ensemble import read_ensemble
from heads.report.build import write_report
from heads.report.finished_run import read_run
from heads.report.model_card import base_models


def test_figures_and_members_are_those_of_the_run(reported_run):
    card = ModelCard.load(reported_run / "model_card.md")
    ensemble = read_ensemble(reported_run / "heads")
    scores = ensemble.scores["held_out"]
    found = {one.metric_name: one.metric_value for one in card.data.eval_results}
    assert found == {
        "AUROC": round(scores["auroc"]["value"], 4),
        "Accuracy": round(scores["accuracy_tuned"]["value"], 4),
    }
    assert card.data.eval_results[0].dataset_name == f"{scores['rows']} held-out rows"
    members = [name for name, weight in ensemble.weights.items() if weight > 0]
    [sentence] = re.findall(r"fused by the heads? (.*?);", card.text)
    assert set(re.split(r", | and ", sentence)) == set(members)
    labelled = read_features(reported_run / "features.h5", False).rows.labelled.sum()
    assert f"fitted on {labelled:,} labelled memes" in card.text


@pytest.mark.usefixtures("quick", "no_plots")
def test_each_model_is_listed_with_its_revision(scored_run, tmp_path):
    run = shutil.copytree(scored_run, tmp_path / "run")
    write_report(read_run(run))
    card = (run / "model_card.md").read_text()
    models = base_models(read_run(run))
    assert len(models) == 3 and "character n-grams" in models
    for name, revision in models.items():
        [line] = [line for line in card.splitlines() if f" {name} | " in line.replace("\\", "")]
        assert revision[:12] in line


def test_report_is_part_of_the_card(reported_run):
    card = (reported_run / "model_card.md").read_text()
    report = (reported_run / "report.md").read_text().splitlines()
    assert f"## Figures: {report[0].removeprefix('# ')}" in card
    assert report[-1] in card
    metrics = json.loads((reported_run / "metrics.json").read_text())
    assert metrics
