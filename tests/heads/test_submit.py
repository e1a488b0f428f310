"""`submit`: kinds of ensembles, prior, errors and warnings, settings."""

import csv
import json
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.config import FitConfig, SubmitConfig
from heads.decision.prior_shift import class_weights, shift_prior
from heads.decision.threshold import tune_threshold
from heads.decision.val_offset import add_offset
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.ensemble.submission import requested_rows
from heads.fitting.saved_heads import read_record
from heads.run import fit_heads, submit
from runtime.errors import UserError

pytestmark = pytest.mark.usefixtures("quick")


def submit_run(run, **settings):
    return submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ensemble_of(run):
    return json.loads((run / "metrics.json").read_text())["ensemble"]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_rows(features, **arrays):
    return replace(features, rows=replace(features.rows, **arrays))


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_requested_ensemble_is_the_only_one_tried_and_is_written(run, kind):
    submit_run(run, ensemble=kind)
    ensemble = ensemble_of(run)
    assert ensemble["kind"] == kind
    assert [trial["kind"] for trial in ensemble["tried"]] == [kind]
    assert ensemble["scores"]["held_out"]["auroc"]["value"] > 0.8


def test_proba_writes_the_probabilities_of_predictions_csv(run):
    predictions = {line["id"]: line for line in read(run / "predictions.csv")}
    for line in read(submit_run(run, proba=True)):
        assert line["hate"] == predictions[line["ID"]]["probability"]


# Prior


def test_prior_adjusts_probabilities_and_threshold(finished, run):
    plain, offset = read_ensemble_probabilities(run / "heads"), ensemble_of(run)["offset"]
    submit_run(run, prior=0.9)
    ensemble, moved = ensemble_of(run), read_ensemble_probabilities(run / "heads")
    rows, reported = finished.features.rows, finished.features.reported
    y = rows.label[reported]
    assert (ensemble["prior"], ensemble["trained_prior"]) == (0.9, pytest.approx(y.mean()))
    assert ensemble["offset"] == 0
    # The offset of val is not added to train rows; with a prior, it is not added at all.
    for name, split, added in (("held_out", "train", 0.0), ("final", "test", offset)):
        of_split = rows.split == split
        expected = shift_prior(add_offset(getattr(plain, name)[of_split], -added), y.mean(), 0.9)
        np.testing.assert_allclose(getattr(moved, name)[of_split], expected, atol=1e-9)
    weight = class_weights(y, y.mean(), 0.9)
    here = y, moved.held_out[reported], rows.group[reported], "accuracy", 0
    assert ensemble["threshold"]["best"] == tune_threshold(*here, weight).best
    assert ensemble["threshold"]["gain"] != tune_threshold(*here, np.ones(len(y))).gain
    # A constant prediction would be right nine times in ten.
    assert ensemble["scores"]["held_out"]["accuracy_default"]["value"] > 0.9


def test_higher_prior_gives_more_positives_in_the_solution(run):
    shares = []
    for prior in (0.02, None, 0.98):
        submit_run(run, prior=prior)
        shares.append(np.mean([int(line["hate"]) for line in read(run / "solution.csv")]))
    assert shares[0] < shares[1] < shares[2]


def test_prior_of_the_training_rows_only_replaces_the_offset(run):
    ensemble, before = ensemble_of(run), read_ensemble_probabilities(run / "heads")
    submit_run(run, prior=ensemble["trained_prior"])
    final = read_ensemble_probabilities(run / "heads").final
    expected = add_offset(before.final, -ensemble["offset"])
    np.testing.assert_allclose(final, expected, atol=1e-9)


# Errors and warnings


def set_probability(run, name, indices, value):
    """Overwrite the probabilities of a saved head at some rows."""
    path = run / "heads" / name / "probabilities.npz"
    with np.load(path) as arrays:
        arrays = dict(arrays)
    arrays["final"][indices] = value
    np.savez(path, **arrays)


def assert_refused(run, match):
    before = contents(run)
    with pytest.raises(UserError, match=match):
        submit_run(run)
    assert contents(run) == before


def test_repeated_ids_raise_an_error_and_change_no_file(finished, run):
    rows = finished.features.rows
    ids = rows.id.copy()
    ids[rows.split == "test"] = "same"
    planted.write(run / "features.h5", with_rows(finished.features, id=ids))
    assert_refused(run, "test ids occur more than once: same")


def test_no_requested_ids_raise_an_error_and_change_no_file(finished, run):
    none_requested = with_rows(finished.features, order=np.full(len(finished.features), -1))
    planted.write(run / "features.h5", none_requested)
    assert_refused(run, "no test ids are requested")


def members_of(run):
    return [name for name, weight in ensemble_of(run)["weights"].items() if weight > 0]


def test_missing_probability_raises_an_error_and_changes_no_file(finished, run):
    rows = finished.features.rows
    unknown = np.where(rows.split == "test", -1, rows.label)
    planted.write(run / "features.h5", with_rows(finished.features, label=unknown))
    requested = requested_rows(rows)[0]
    set_probability(run, members_of(run)[0], requested, np.nan)
    assert_refused(run, f"no finite probability for 1 ids: {rows.id[requested]}")


def test_solution_far_from_the_prior_causes_a_warning_on_stderr(finished, run, capsys):
    for name in members_of(run):
        set_probability(run, name, finished.features.rows.split == "test", 0.99)
    submit_run(run)
    out, err = capsys.readouterr()
    assert "WARNING: " in err and "WARNING" not in out


def test_heads_are_tuned_for_the_requested_metric(run):
    fit_heads(FitConfig("linear", metric="f1"), run)
    assert read_record(run / "heads" / "linear").metric == "f1"
    submit_run(run)
    assert ensemble_of(run)["weights"].keys() == {"joint", "linear"}


# Settings


@pytest.mark.parametrize("heads", ["", " , ", "linear,quadratic"])
def test_unknown_heads_raise_an_error_that_lists_the_known_ones(heads):
    with pytest.raises(UserError, match=r"--heads: found .*, allowed: linear, interaction, mlp"):
        FitConfig(heads)


def test_repeated_heads_and_spaces_are_accepted():
    assert FitConfig(" linear, mlp,linear").names() == ["linear", "mlp"]


def test_unknown_metrics_and_ensembles_raise_an_error_that_lists_the_known_ones():
    with pytest.raises(UserError, match='--metric: found "auc", allowed: accuracy, f1'):
        FitConfig(metric="auc")
    with pytest.raises(UserError, match='--ensemble: found "max", allowed: best, greedy, mean'):
        SubmitConfig(ensemble="max")


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 35.0, float("nan")])
def test_prior_outside_0_and_1_raises_an_error(prior):
    with pytest.raises(UserError, match=r"--prior: found .*, allowed: "):
        SubmitConfig(prior=prior)
