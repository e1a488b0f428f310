"""The ensemble that is asked for is the one that is written, for the prior that is asked for."""

import csv
import json
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.config import FitConfig, SubmitConfig
from heads.decision.prior_shift import class_weights, shift_prior
from heads.decision.threshold import tune_threshold
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.saved_ensemble import read_ensembled
from heads.ensemble.submission import rows_asked_for
from heads.fitting.saved_heads import read_record
from heads.run import fit_heads, submit
from runtime.errors import UserError

pytestmark = pytest.mark.usefixtures("quick")


def solve(run, **settings):
    return submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ensemble_of(run):
    return json.loads((run / "metrics.json").read_text())["ensemble"]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed_rows(features, **arrays):
    return replace(features, rows=replace(features.rows, **arrays))


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_the_ensemble_asked_for_is_the_one_tried_and_written(run, kind):
    solve(run, ensemble=kind)
    ensemble = ensemble_of(run)
    assert ensemble["kind"] == kind
    assert [trial["kind"] for trial in ensemble["tried"]] == [kind]
    assert ensemble["scores"]["held_out"]["auroc"]["value"] > 0.8


def test_proba_writes_the_probabilities_of_the_predictions(run):
    predictions = {line["id"]: line for line in read(run / "predictions.csv")}
    for line in read(solve(run, proba=True)):
        assert line["hate"] == predictions[line["ID"]]["probability"]


# The contest's prior


def test_another_prior_moves_probabilities_and_threshold_together(finished, run):
    plain = read_ensembled(run / "heads")
    solve(run, prior=0.9)
    ensemble, moved = ensemble_of(run), read_ensembled(run / "heads")
    rows, reported = finished.features.rows, finished.features.reported
    y = rows.label[reported]
    assert (ensemble["prior"], ensemble["trained_prior"]) == (0.9, pytest.approx(y.mean()))
    assert ensemble["offset"] == 0
    for name in ("held_out", "final"):
        expected = shift_prior(getattr(plain, name), y.mean(), 0.9)
        np.testing.assert_allclose(getattr(moved, name), expected, atol=1e-12)
    weight = class_weights(y, y.mean(), 0.9)
    here = y, moved.held_out[reported], rows.group[reported], "accuracy", 0
    assert ensemble["threshold"]["best"] == tune_threshold(*here, weight).best
    assert ensemble["threshold"]["gain"] != tune_threshold(*here, np.ones(len(y))).gain
    # A constant answer would be right nine times in ten.
    assert ensemble["scores"]["held_out"]["accuracy_default"]["value"] > 0.9


def test_more_positives_in_the_contest_means_more_positives_in_the_solution(run):
    shares = []
    for prior in (0.02, None, 0.98):
        solve(run, prior=prior)
        shares.append(np.mean([int(line["hate"]) for line in read(run / "solution.csv")]))
    assert shares[0] < shares[1] < shares[2]


def test_the_prior_it_was_trained_on_changes_nothing(run):
    trained = ensemble_of(run)["trained_prior"]
    before = {name: (run / name).read_bytes() for name in ("solution.csv", "predictions.csv")}
    solve(run, prior=trained)
    for name, content in before.items():
        assert (run / name).read_bytes() == content


# What is refused, and warned of


def say_of(run, name, places, value):
    """Overwrite what a saved head says of some of the rows."""
    path = run / "heads" / name / "probabilities.npz"
    with np.load(path) as arrays:
        arrays = dict(arrays)
    arrays["final"][places] = value
    np.savez(path, **arrays)


def refused(run, match):
    before = contents(run)
    with pytest.raises(UserError, match=match):
        solve(run)
    assert contents(run) == before


def test_repeated_ids_leave_the_old_solution_and_write_nothing(finished, run):
    rows = finished.features.rows
    ids = rows.id.copy()
    ids[rows.split == "test"] = "same"
    planted.write(run / "features.h5", changed_rows(finished.features, id=ids))
    refused(run, "test ids occur more than once: same")


def test_nothing_asked_for_leaves_the_old_solution_and_writes_nothing(finished, run):
    nothing = changed_rows(finished.features, order=np.full(len(finished.features), -1))
    planted.write(run / "features.h5", nothing)
    refused(run, "no test ids are asked for")


def kept(run):
    return [name for name, weight in ensemble_of(run)["weights"].items() if weight > 0]


def test_a_missing_probability_leaves_the_old_solution_and_writes_nothing(finished, run):
    rows = finished.features.rows
    unknown = np.where(rows.split == "test", -1, rows.label)
    planted.write(run / "features.h5", changed_rows(finished.features, label=unknown))
    asked = rows_asked_for(rows)[0]
    say_of(run, kept(run)[0], asked, np.nan)
    refused(run, f"no finite probability for 1 ids: {rows.id[asked]}")


def test_a_solution_far_from_the_prior_is_warned_of_on_stderr(finished, run, capsys):
    for name in kept(run):
        say_of(run, name, finished.features.rows.split == "test", 0.99)
    solve(run)
    out, err = capsys.readouterr()
    assert "WARNING: " in err and "WARNING" not in out


def test_heads_are_tuned_for_the_metric_asked_for(run):
    fit_heads(FitConfig("linear", metric="f1"), run)
    assert read_record(run / "heads" / "linear").metric == "f1"
    solve(run)
    assert ensemble_of(run)["weights"].keys() == {"joint", "linear"}


# Settings


@pytest.mark.parametrize("heads", ["", " , ", "linear,quadratic"])
def test_unknown_heads_are_refused_with_those_there_are(heads):
    with pytest.raises(UserError, match=r"--heads: found .*, allowed: linear, interaction, mlp"):
        FitConfig(heads)


def test_heads_are_asked_for_once_each_with_spaces_forgiven():
    assert FitConfig(" linear, mlp,linear").names() == ["linear", "mlp"]


def test_unknown_metrics_and_ensembles_are_refused_with_those_there_are():
    with pytest.raises(UserError, match='--metric: found "auc", allowed: accuracy, f1'):
        FitConfig(metric="auc")
    with pytest.raises(UserError, match='--ensemble: found "max", allowed: best, greedy, mean'):
        SubmitConfig(ensemble="max")


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 35.0, float("nan")])
def test_a_prior_that_is_no_share_is_refused(prior):
    with pytest.raises(UserError, match=r"--prior: found .*, allowed: "):
        SubmitConfig(prior=prior)
