"""Saved heads are what was fitted, whole, and fit the features they are used with."""

from dataclasses import asdict, replace

import numpy as np
import planted
import pytest

from features.errors import UserError
from features.files import write_json
from heads import ENTRIES
from heads.crossfit import FOLDS, Fitted, cross_fit, number_folds, view
from heads.saved import (
    HeadRecord,
    Probabilities,
    load_models,
    read_probabilities,
    read_records,
    save_head,
)

RECORD = HeadRecord(
    name="linear",
    stamp="a",
    member=True,
    metric="f1",
    spaces=[{"name": "space_0", "choice": {"C": 0.1}, "fitted_rows": 9}],
    threshold={"value": 0.5},
    seconds=0.1,
    scores={"held_out": None, "test": None},
)


@pytest.fixture(scope="module")
def features():
    return planted.table("linear", 150)


@pytest.fixture(scope="module")
def fitted(features):
    rows, space = features.rows, features.spaces[0]
    return cross_fit(ENTRIES["linear"], space, rows, number_folds(rows, space, 0), 0)


def probabilities(fitted):
    return Probabilities(fitted.held_out, fitted.probability, np.full(len(fitted.held_out), 0.5))


def record_in(folder, **changes):
    record = replace(RECORD, **changes)
    write_json(folder / record.name / "head.json", asdict(record))


def refusal(folder, stamp="a"):
    with pytest.raises(UserError) as error:
        read_records(folder, stamp)
    return str(error.value)


def test_loaded_models_say_the_same_bits(features, fitted, tmp_path):
    save_head(tmp_path / "linear", RECORD, [fitted], probabilities(fitted))
    models = load_models(tmp_path / "linear", RECORD)
    assert list(models) == ["space_0"] and len(models["space_0"]) == FOLDS
    space = features.spaces[0]
    X = view(ENTRIES["linear"], space.image, space.text, space.joint_logit)
    for saved, loaded in zip(fitted.models, models["space_0"], strict=True):
        np.testing.assert_array_equal(saved.predict_proba(X), loaded.predict_proba(X))


def test_probabilities_come_back_with_their_gaps(fitted, tmp_path):
    save_head(tmp_path / "linear", RECORD, [fitted], probabilities(fitted))
    found = read_probabilities(tmp_path / "linear")
    for name, expected in vars(probabilities(fitted)).items():
        np.testing.assert_array_equal(getattr(found, name), expected)
    assert np.isnan(found.held_out).any()


def test_the_record_comes_back_as_it_was(fitted, tmp_path):
    save_head(tmp_path / "linear", RECORD, [fitted], probabilities(fitted))
    assert read_records(tmp_path, "a") == [RECORD]


def test_saving_leaves_nothing_of_the_head_that_was_there(fitted, tmp_path):
    stale = tmp_path / "linear" / "space_1" / "stale.npz"
    stale.parent.mkdir(parents=True)
    stale.touch()
    save_head(tmp_path / "linear", RECORD, [fitted], probabilities(fitted))
    assert not stale.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]


def test_a_model_that_cannot_be_saved_leaves_the_head_that_was_there(fitted, tmp_path):
    save_head(tmp_path / "linear", RECORD, [fitted], probabilities(fitted))
    broken = Fitted(**{**vars(fitted), "models": [*fitted.models[:-1], None]})
    with pytest.raises(AttributeError):
        save_head(tmp_path / "linear", RECORD, [broken], probabilities(fitted))
    assert len(load_models(tmp_path / "linear", RECORD)["space_0"]) == FOLDS
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]


def test_records_are_in_the_order_of_the_registry_not_of_the_disk(tmp_path):
    for name in reversed(ENTRIES):
        record_in(tmp_path, name=name)
    assert [record.name for record in read_records(tmp_path, "a")] == list(ENTRIES)


@pytest.mark.parametrize("made", [True, False])
def test_no_heads_names_the_command_to_run(tmp_path, made):
    folder = tmp_path if made else tmp_path / "absent"
    assert refusal(folder) == f"{folder} has no heads. Run first: python pipeline.py fit-heads"


def test_heads_of_other_features_are_named(tmp_path):
    record_in(tmp_path)
    record_in(tmp_path, name="mlp", stamp="b")
    message = refusal(tmp_path)
    assert "mlp fitted on other features" in message and "linear" not in message
    assert message.endswith("Run: python pipeline.py fit-heads")
