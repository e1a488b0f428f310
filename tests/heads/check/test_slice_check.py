"""`check` names the largest gap between slices, as the report does."""

import json

import numpy as np
import pytest

from features.hdf5_store import read_features
from heads.check.slice_check import slice_gap
from heads.ensemble.saved_ensemble import read_ensemble, read_ensemble_probabilities
from heads.evaluation import slices
from runtime.errors import UserError
from runtime.files.json_files import write_json


@pytest.fixture
def gap(run, monkeypatch):
    """f(group column, slice of a row) -> the checks."""
    monkeypatch.setattr(slices, "MIN_GROUPS", 5)
    table = read_features(run / "features.h5", embeddings=False)
    heads = run / "heads"

    def check(column, name):
        write_json(run / "data.json", {"group_column": column})
        shown = {"split": "train", "caption": "", "image": ""}
        memes = [{"id": one, "slice": name(row), **shown} for row, one in enumerate(table.rows.id)]
        (run / "memes.jsonl").write_text("".join(f"{json.dumps(meme)}\n" for meme in memes))
        held_out = read_ensemble_probabilities(heads).held_out
        return slice_gap(run, table, held_out, read_ensemble(heads), 0)

    return check


def test_the_largest_gap_is_named_with_its_interval_and_does_not_fail(gap, run):
    label = read_features(run / "features.h5", embeddings=False).rows.label
    odd = np.arange(len(label)) % 2 == 1
    [check] = gap("language", lambda row: "hi" if odd[row] else "en")
    assert check.ok and check.name == "slices"
    assert "The largest gap is in the" in check.sentence and "95 % interval" in check.sentence
    assert "Compared by language: " in check.sentence and "en (" in check.sentence
    assert check.figures["difference"] >= 0


def test_slices_with_few_rows_are_counted(gap):
    [check] = gap("language", lambda row: f"slice {row}")
    assert "fewer than two slices have enough rows" in check.sentence
    assert "Slices with too few rows: " in check.sentence


def test_without_a_column_nothing_is_said(gap, run):
    assert gap(None, str) == []
    (run / "data.json").unlink()
    table = read_features(run / "features.h5", embeddings=False)
    assert slice_gap(run, table, np.zeros(len(table)), None, 0) == []


def test_a_damaged_file_is_named(gap, run):
    gap("language", str)
    (run / "memes.jsonl").write_text("{\n")
    table = read_features(run / "features.h5", embeddings=False)
    ensemble = read_ensemble(run / "heads")
    with pytest.raises(UserError, match=r"memes\.jsonl is damaged"):
        slice_gap(run, table, np.zeros(len(table)), ensemble, 0)
