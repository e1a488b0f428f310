"""Test that the submission checks find a faulty solution.csv and faulty predictions."""

import numpy as np
import pytest

from heads.check.submission_checks import check_scores, check_solution_file
from heads.ensemble.saved_ensemble import EnsembleRecord
from runtime.config_fields import from_dict
from runtime.errors import UserError
from runtime.files.json_files import read_json

IDS = np.array(["07", "7", "12", "3"], dtype=object)
PROBABILITY = np.array([0.9, 0.2, 0.6, 0.1])
DECISION = PROBABILITY > 0.5
LABELS = DECISION.astype(int)


def check_file(tmp_path, ids=IDS, values=LABELS):
    path = tmp_path / "solution.csv"
    lines = [f"{i},{v}" for i, v in zip(ids, values, strict=True)]
    path.write_text("\n".join(["id,label", *lines]) + "\n")
    return check_solution_file(path, IDS, PROBABILITY, DECISION)


@pytest.mark.parametrize("values", [LABELS, PROBABILITY])
def test_labels_and_probabilities_of_the_run_pass(tmp_path, values):
    assert check_file(tmp_path, values=values).ok


@pytest.mark.parametrize("values", [1 - LABELS, 1 - PROBABILITY])
def test_inverted_values_fail(tmp_path, values):
    check = check_file(tmp_path, values=values)
    assert not check.ok
    assert "inverted" in check.sentence


def test_ids_in_a_different_order_fail(tmp_path):
    check = check_file(tmp_path, ids=IDS[::-1], values=LABELS[::-1])
    assert not check.ok
    assert "a different order" in check.sentence


def test_repeated_id_is_not_called_a_different_order_only(tmp_path):
    check = check_file(tmp_path, ids=[*IDS, IDS[0]], values=[*LABELS, LABELS[0]])
    assert not check.ok
    assert "more than once" in check.sentence


def test_an_id_without_its_leading_zero_fails(tmp_path):
    check = check_file(tmp_path, ids=["7", "7", "12", "3"])
    assert not check.ok
    assert "07" in check.sentence


def test_values_that_differ_from_the_runs_are_counted(tmp_path):
    check = check_file(tmp_path, values=[1, 1, 1, 0])
    assert not check.ok
    assert "1 of 4 values" in check.sentence


@pytest.mark.parametrize(
    ("content", "message"), [(None, "is missing"), ("id\n1\n", "found 1 columns")]
)
def test_missing_or_malformed_file_is_a_user_error(tmp_path, content, message):
    path = tmp_path / "solution.csv"
    if content:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        check_solution_file(path, IDS, PROBABILITY, DECISION)


@pytest.fixture
def ensemble(finished):
    return from_dict(EnsembleRecord, read_json(finished.folder / "heads/ensemble.json", "submit"))


def failed_checks(ensemble, decision, prior=0.5):
    return [check.name for check in check_scores(ensemble, decision, prior) if not check.ok]


def test_a_correct_ensemble_passes(ensemble):
    assert failed_checks(ensemble, np.array([True, False, True, False])) == []


def test_constant_predictions_and_an_unexpected_share_fail(ensemble):
    assert failed_checks(ensemble, np.zeros(9, bool), 0.1) == ["constant predictions"]
    assert failed_checks(ensemble, np.ones(9, bool)) == ["constant predictions", "predicted share"]
    assert failed_checks(ensemble, np.arange(10) > 0) == ["predicted share"]


def test_scores_below_chance_fail(ensemble):
    ensemble.scores["held_out"]["auroc"] = {"value": 0.2, "interval": [0.15, 0.25]}
    assert failed_checks(ensemble, np.array([True, False])) == ["score inversion"]
