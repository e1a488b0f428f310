"""Saved heads load as they were fitted, and are rejected with other features."""

from dataclasses import asdict, replace

import numpy as np
import planted
import pytest

from heads.ensemble.saved_ensemble import (
    EnsembleProbabilities,
    read_ensemble_probabilities,
    save_ensemble_probabilities,
)
from heads.evaluation.out_of_fold import PARTS, assign_parts
from heads.fitting.cross_validation import cross_validate
from heads.fitting.head_inputs import Projected, select_head_inputs
from heads.fitting.saved_heads import (
    HeadRecord,
    Probabilities,
    load_models,
    read_probabilities,
    read_records,
    save_head,
)
from heads.registry import ENTRIES
from runtime.errors import UserError
from runtime.files.json_files import write_json

RECORD = HeadRecord(
    name="linear",
    stamp="a",
    member=True,
    metric="f1",
    kinds=[
        {"name": "fine-tuned", "choice": {"C": 0.1}, "spaces": {"space_0": 1, "space_1": 1}},
        {"name": "pretrained", "choice": {"C": 0.1}, "spaces": {"pretrained": PARTS}},
    ],
    blend=["fine-tuned"],
    threshold={"value": 0.5},
    seconds=0.1,
    scores={"held_out": None, "test": None},
)


@pytest.fixture(scope="module")
def head_inputs():
    """Head inputs, by kind of space."""
    features = planted.table("linear", 150)
    projected = {
        space.name: Projected(np.concatenate([space.image, space.text], axis=1), 6)
        for space in features.spaces
    }
    kinds = features.kinds()
    return {
        kind: select_head_inputs(ENTRIES["linear"], kinds[kind], projected, features.rows.labelled)
        for kind in ("fine-tuned", "pretrained")
    }


@pytest.fixture(scope="module")
def fitted(head_inputs):
    rows = planted.table("linear", 150).rows
    entry = replace(ENTRIES["linear"], fitted_on=("seen",), grid=({},))
    part = assign_parts(rows, 0)
    return cross_validate(entry, head_inputs, rows.label, part, 0)


@pytest.fixture(scope="module")
def probabilities(fitted):
    held_out = np.stack([one.held_out for one in fitted.values()])
    final = np.stack([one.final for one in fitted.values()])
    return Probabilities(
        held_out[0], final[0], np.where(held_out[0] > 0, 0.5, np.nan), held_out, final
    )


@pytest.fixture
def save(fitted, probabilities, tmp_path):
    """f(fitted) -> folder with the saved head."""

    def save(fitted=fitted):
        save_head(tmp_path / "linear", RECORD, fitted, probabilities)
        return tmp_path / "linear"

    return save


def record_in(folder, **changes):
    record = replace(RECORD, **changes)
    write_json(folder / record.name / "head.json", asdict(record))


def refusal(folder, stamp="a"):
    with pytest.raises(UserError) as error:
        read_records(folder, stamp)
    return str(error.value)


def test_loaded_models_predict_the_same_bits(head_inputs, fitted, save):
    folder = save()
    for kind, spaces in head_inputs.items():
        models = load_models(folder, RECORD, kind)
        assert list(models) == [space.space for space in spaces]
        for space in spaces:
            pairs = zip(fitted[kind].models[space.space], models[space.space], strict=True)
            for saved, loaded in pairs:
                expected = saved.predict_proba(space.X)
                np.testing.assert_array_equal(loaded.predict_proba(space.X), expected)


def test_loaded_probabilities_equal_the_saved_ones_with_nan(probabilities, save):
    found = read_probabilities(save())
    for name, expected in vars(probabilities).items():
        np.testing.assert_array_equal(getattr(found, name), expected)
    assert np.isnan(found.held_out).any()


def test_loaded_record_equals_the_saved_one(save):
    assert read_records(save().parent, "a") == [RECORD]


def test_saving_replaces_all_files_of_the_previous_head(save, tmp_path):
    stale = tmp_path / "linear" / "space_2" / "stale.npz"
    stale.parent.mkdir(parents=True)
    stale.touch()
    save()
    assert not stale.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]


def test_failed_save_leaves_the_previous_head_unchanged(fitted, save, tmp_path):
    save()
    models = {"pretrained": [*fitted["pretrained"].models["pretrained"][:-1], None]}
    with pytest.raises(AttributeError):
        save({**fitted, "pretrained": replace(fitted["pretrained"], models=models)})
    assert len(load_models(tmp_path / "linear", RECORD, "pretrained")["pretrained"]) == PARTS
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]


def test_records_are_in_the_order_of_the_registry(tmp_path):
    for name in reversed(ENTRIES):
        record_in(tmp_path, name=name)
    assert [record.name for record in read_records(tmp_path, "a")] == list(ENTRIES)


@pytest.mark.parametrize("exists", [True, False])
def test_missing_heads_raise_an_error_that_names_the_command(tmp_path, exists):
    folder = tmp_path if exists else tmp_path / "absent"
    assert refusal(folder) == f"{folder} has no heads. Run first: python pipeline.py fit-heads"


def test_heads_of_other_features_raise_an_error_that_names_them(tmp_path):
    record_in(tmp_path)
    record_in(tmp_path, name="mlp", stamp="b")
    message = refusal(tmp_path)
    assert "mlp fitted on other features" in message and "linear" not in message
    assert message.endswith("Run: python pipeline.py fit-heads")


def test_loaded_ensemble_probabilities_equal_the_saved_ones_with_nan(tmp_path):
    saved = EnsembleProbabilities(
        np.array([0.1, np.nan]), np.array([0.2, 0.3]), np.array([0.5, np.nan])
    )
    save_ensemble_probabilities(tmp_path, saved)
    for name, values in vars(read_ensemble_probabilities(tmp_path)).items():
        np.testing.assert_array_equal(values, getattr(saved, name))


def test_missing_ensemble_raises_an_error_that_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"Run first: python pipeline\.py submit"):
        read_ensemble_probabilities(tmp_path)
