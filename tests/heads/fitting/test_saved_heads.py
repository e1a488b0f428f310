"""Saved heads are what was fitted, whole, and fit the features they are used with."""

from dataclasses import asdict, replace

import numpy as np
import planted
import pytest

from heads.ensemble.saved_ensemble import Ensembled, read_ensembled, save_ensembled
from heads.evaluation.out_of_fold import PARTS, cut_parts
from heads.fitting.cross_validation import cross_fit
from heads.fitting.head_inputs import Projected, columns_of
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
from runtime.json_files import write_json

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
def columns():
    """What a head is given, by kind of space."""
    features = planted.table("linear", 150)
    shown = {
        space.name: Projected(np.concatenate([space.image, space.text], axis=1), 6)
        for space in features.spaces
    }
    kinds = features.kinds()
    return {
        kind: columns_of(ENTRIES["linear"], kinds[kind], shown, features.rows.labelled)
        for kind in ("fine-tuned", "pretrained")
    }


@pytest.fixture(scope="module")
def fitted(columns):
    rows = planted.table("linear", 150).rows
    entry = replace(ENTRIES["linear"], fitted_on=("seen",), grid=({},))
    part = cut_parts(rows, 0)
    return {kind: cross_fit(entry, one, rows.label, part, 0) for kind, one in columns.items()}


@pytest.fixture(scope="module")
def probabilities(fitted):
    held_out = np.stack([one.held_out for one in fitted.values()])
    final = np.stack([one.final for one in fitted.values()])
    return Probabilities(
        held_out[0], final[0], np.where(held_out[0] > 0, 0.5, np.nan), held_out, final
    )


@pytest.fixture
def save(fitted, probabilities, tmp_path):
    """f(fitted) -> the folder with the head saved."""

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


def test_loaded_models_say_the_same_bits(columns, fitted, save):
    folder = save()
    for kind, spaces in columns.items():
        models = load_models(folder, RECORD, kind)
        assert list(models) == [space.space for space in spaces]
        for space in spaces:
            pairs = zip(fitted[kind].models[space.space], models[space.space], strict=True)
            for saved, loaded in pairs:
                expected = saved.predict_proba(space.X)
                np.testing.assert_array_equal(loaded.predict_proba(space.X), expected)


def test_probabilities_come_back_with_their_gaps(probabilities, save):
    found = read_probabilities(save())
    for name, expected in vars(probabilities).items():
        np.testing.assert_array_equal(getattr(found, name), expected)
    assert np.isnan(found.held_out).any()


def test_the_record_comes_back_as_it_was(save):
    assert read_records(save().parent, "a") == [RECORD]


def test_saving_leaves_nothing_of_the_head_that_was_there(save, tmp_path):
    stale = tmp_path / "linear" / "space_2" / "stale.npz"
    stale.parent.mkdir(parents=True)
    stale.touch()
    save()
    assert not stale.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["linear"]


def test_a_model_that_cannot_be_saved_leaves_the_head_that_was_there(fitted, save, tmp_path):
    save()
    models = {"pretrained": [*fitted["pretrained"].models["pretrained"][:-1], None]}
    with pytest.raises(AttributeError):
        save({**fitted, "pretrained": replace(fitted["pretrained"], models=models)})
    assert len(load_models(tmp_path / "linear", RECORD, "pretrained")["pretrained"]) == PARTS
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


def test_what_the_ensemble_says_comes_back_with_its_gaps(tmp_path):
    said = Ensembled(np.array([0.1, np.nan]), np.array([0.2, 0.3]), np.array([0.5, np.nan]))
    save_ensembled(tmp_path, said)
    for name, values in vars(read_ensembled(tmp_path)).items():
        np.testing.assert_array_equal(values, getattr(said, name))


def test_an_ensemble_that_was_never_made_names_the_command_to_run(tmp_path):
    with pytest.raises(UserError, match=r"Run first: python pipeline\.py submit"):
        read_ensembled(tmp_path)
