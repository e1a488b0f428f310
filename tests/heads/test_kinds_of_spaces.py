"""Runs without fine-tuned spaces, runs without any other, and the comparison between the two."""

import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from sklearn.metrics import roc_auc_score

from heads.check.all_checks import check_run
from heads.config import FitConfig, SubmitConfig
from heads.ensemble.saved_ensemble import (
    WITHOUT_FINE_TUNING_FILE,
    read_ensemble_probabilities,
)
from heads.predict import load_scorer
from heads.run import fit_heads, submit

pytestmark = pytest.mark.usefixtures("quick")

HEADS = "linear,knn,svm,stack"
LABEL_FREE = ("pretrained", "lexical")


def finish(features, run, heads=HEADS):
    """Run stage two; return the metrics."""
    planted.write(run / "features.h5", features)
    fit_heads(FitConfig(heads), run, show=False)
    submit(SubmitConfig(out=str(run / "solution.csv")), run)
    return json.loads((run / "metrics.json").read_text())


def names(metrics):
    return [head["name"] for head in metrics["heads"]]


def test_run_without_fine_tuned_spaces_has_no_joint_head_and_says_so(tmp_path, capsys):
    features = planted.table("linear", spaces=LABEL_FREE)
    metrics = finish(features, tmp_path)
    assert names(metrics) == ["linear", "knn", "svm", "stack", "image only", "text only"]
    assert "no space for them: joint" in capsys.readouterr().err
    assert metrics["ensemble"]["without_fine_tuning"] is None
    assert metrics["ensemble"]["scores"]["held_out"]["auroc"]["value"] > 0.9
    probability = load_scorer(tmp_path, features.attributes["stamp"]).score(features)
    test = features.rows.split == "test"
    submitted = read_ensemble_probabilities(tmp_path / "heads").final[test]
    np.testing.assert_allclose(probability[test], submitted, atol=1e-12)
    assert check_run(tmp_path, tmp_path / "solution.csv")


def test_run_with_only_fine_tuned_spaces_has_no_svm(tmp_path, capsys):
    metrics = finish(planted.table("linear", spaces=planted.TWO_SPACES), tmp_path)
    assert "svm" not in names(metrics) and "joint" in names(metrics)
    assert "no space for them: svm" in capsys.readouterr().err
    assert metrics["ensemble"]["without_fine_tuning"] is None


def test_ensemble_without_fine_tuning_uses_no_fine_tuned_column(tmp_path):
    features = planted.table("xor", strength=2.5)
    noise = np.random.default_rng(0)
    scrambled = [
        space
        if space.joint_logit is None
        else replace(
            space, **{name: noise.permutation(getattr(space, name)) for name in ("image", "text")}
        )
        for space in features.spaces
    ]
    found = []
    for number, spaces in enumerate((features.spaces, scrambled)):
        run = tmp_path / str(number)
        run.mkdir()
        metrics = finish(replace(features, spaces=spaces), run, "knn,svm")
        assert metrics["ensemble"]["without_fine_tuning"]["scores"]["held_out"]
        found.append(read_ensemble_probabilities(run / "heads", WITHOUT_FINE_TUNING_FILE))
    for name in ("held_out", "final"):
        one, other = (getattr(probabilities, name) for probabilities in found)
        np.testing.assert_allclose(one, other, atol=1e-9)
    known = ~np.isnan(found[0].held_out)
    assert roc_auc_score(features.rows.label[known], found[0].held_out[known]) > 0.8
