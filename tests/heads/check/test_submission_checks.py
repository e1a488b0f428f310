"""A submission that went wrong is caught before the contest does."""

import numpy as np
import pytest

from heads.check.submission_checks import check_scores, check_solution_file
from heads.ensemble.ensemble import Ensemble
from runtime.errors import UserError
from runtime.json_files import read_json
from runtime.settings import from_dict

IDS = np.array(["07", "7", "12", "3"], dtype=object)
PROBABILITY = np.array([0.9, 0.2, 0.6, 0.1])
DECISION = PROBABILITY > 0.5
LABELS = DECISION.astype(int)


def file(tmp_path, ids=IDS, values=LABELS):
    path = tmp_path / "solution.csv"
    lines = [f"{i},{v}" for i, v in zip(ids, values, strict=True)]
    path.write_text("\n".join(["id,label", *lines]) + "\n")
    return check_solution_file(path, IDS, PROBABILITY, DECISION)


@pytest.mark.parametrize("values", [LABELS, PROBABILITY])
def test_labels_and_probabilities_of_the_run_are_fine(tmp_path, values):
    assert file(tmp_path, values=values).ok


@pytest.mark.parametrize("values", [1 - LABELS, 1 - PROBABILITY])
def test_values_turned_around_are_caught(tmp_path, values):
    check = file(tmp_path, values=values)
    assert not check.ok
    assert "turned around" in check.sentence


def test_right_values_in_another_order_of_ids_are_caught(tmp_path):
    check = file(tmp_path, ids=IDS[::-1], values=LABELS[::-1])
    assert not check.ok
    assert "another order" in check.sentence


def test_an_id_without_its_leading_zero_is_missing(tmp_path):
    check = file(tmp_path, ids=["7", "7", "12", "3"])
    assert not check.ok
    assert "07" in check.sentence


def test_a_value_that_is_not_the_runs_is_counted(tmp_path):
    check = file(tmp_path, values=[1, 1, 1, 0])
    assert not check.ok
    assert "1 of 4 values" in check.sentence


@pytest.mark.parametrize(
    ("content", "words"), [(None, "is missing"), ("id\n1\n", "found 1 columns")]
)
def test_what_is_no_submission_is_a_user_error(tmp_path, content, words):
    path = tmp_path / "solution.csv"
    if content:
        path.write_text(content)
    with pytest.raises(UserError, match=words):
        check_solution_file(path, IDS, PROBABILITY, DECISION)


@pytest.fixture
def ensemble(finished):
    return from_dict(Ensemble, read_json(finished.folder / "heads/ensemble.json", "submit"))


def failing(ensemble, decision, prior=0.5):
    return [check.name for check in check_scores(ensemble, decision, prior) if not check.ok]


def test_a_sound_ensemble_passes(ensemble):
    assert failing(ensemble, np.array([True, False, True, False])) == []


def test_constant_predictions_and_a_strange_share_are_caught(ensemble):
    assert failing(ensemble, np.zeros(9, bool), 0.1) == ["constant predictions"]
    assert failing(ensemble, np.ones(9, bool)) == ["constant predictions", "predicted share"]
    assert failing(ensemble, np.arange(10) > 0) == ["predicted share"]


def test_scores_below_chance_are_caught(ensemble):
    ensemble.scores["held_out"]["auroc"] = {"value": 0.2, "interval": [0.15, 0.25]}
    assert failing(ensemble, np.array([True, False])) == ["score inversion"]
