"""A val split drawn otherwise than train moves test memes, in `submit` and in `predict` alike."""

import json
from dataclasses import replace

import numpy as np
import planted
import pytest

from heads.config import FitConfig, SubmitConfig
from heads.ensemble.saved_ensemble import read_ensembled
from heads.evaluation.out_of_fold import to_logit
from heads.predict import score_memes
from heads.run import fit_heads, submit

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def features():
    """Of val's positives, two in three are called negative."""
    table = planted.table("linear", count=500, spaces=planted.TWO, strength=2.0)
    rows = table.rows
    odd = (rows.split == "val") & (np.random.default_rng(0).random(len(rows)) < 2 / 3)
    return replace(table, rows=replace(rows, label=np.where(odd, 0, rows.label).astype(np.int8)))


def solve(features, run, **settings):
    planted.write(run / "features.h5", features)
    fit_heads(FitConfig("linear"), run, show=False)
    submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)
    return json.loads((run / "heads/ensemble.json").read_text()), read_ensembled(run / "heads")


def test_test_memes_lean_as_val_memes_do_and_a_prior_takes_its_place(features, tmp_path, capsys):
    leaning, said = solve(features, tmp_path)
    assert leaning["offset"] < -0.3
    assert "val memes are not like train memes" in capsys.readouterr().err
    plain, unmoved = solve(features, tmp_path, prior=leaning["trained_prior"])
    assert plain["offset"] == 0
    train, test = (features.rows.split == split for split in ("train", "test"))
    moved = to_logit(said.final) - to_logit(unmoved.final)
    assert np.allclose(moved[test], leaning["offset"], atol=1e-6)
    assert np.allclose(said.held_out[train], unmoved.held_out[train], equal_nan=True)


def test_memes_scored_later_lean_too(features, tmp_path):
    _, said = solve(features, tmp_path)
    probability, _ = score_memes(features, tmp_path)
    test = features.rows.split == "test"
    assert np.allclose(probability[test], said.final[test], atol=1e-12)


def test_a_val_split_like_train_moves_nothing(tmp_path, capsys):
    features = planted.table("linear", count=500, spaces=planted.TWO, strength=2.0)
    assert solve(features, tmp_path)[0]["offset"] == 0
    assert "val memes" not in capsys.readouterr().err
