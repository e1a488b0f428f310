"""New memes get what `submit` would have given them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import planted
import pytest

from features.feature_table import FeatureTable
from heads.config import FitConfig, SubmitConfig
from heads.ensemble.combining import ENSEMBLES
from heads.ensemble.saved_ensemble import read_ensembled
from heads.predict import score_memes
from heads.run import fit_heads, submit
from runtime.errors import UserError
from runtime.json_files import read_json, write_json

pytestmark = pytest.mark.usefixtures("quick")


def solve(run, **settings):
    submit(SubmitConfig(out=str(run / "solution.csv"), **settings), run)


def part_of(features, places):
    """The same features with some of the rows."""

    def cut(one):
        kind = {name: getattr(one, name) for name in one.__dataclass_fields__}
        arrays = {n: v[places] for n, v in kind.items() if isinstance(v, np.ndarray)}
        return replace(one, **arrays)

    spaces = [cut(space) for space in features.spaces]
    return FeatureTable(cut(features.rows), spaces, features.attributes)


def reweighed(run, **weights):
    """Overwrite which members the ensemble keeps."""
    path = run / "heads" / "ensemble.json"
    ensemble = read_json(path, "submit")
    ensemble["weights"] = {name: weights.get(name, 0.0) for name in ensemble["weights"]}
    write_json(path, ensemble)


@pytest.fixture
def everyone(monkeypatch):
    """All members are kept, so that each of them is scored with."""
    for kind, (combination, _) in ENSEMBLES.items():
        alike = combination, lambda probability, y: np.full(len(probability), 1 / len(probability))
        monkeypatch.setitem(ENSEMBLES, kind, alike)


@pytest.mark.parametrize(
    ("kind", "prior"), [*((kind, None) for kind in ENSEMBLES), ("mean", 0.8), ("rank", 0.8)]
)
def test_scoring_the_same_memes_later_gives_what_was_submitted(
    finished, run, everyone, kind, prior
):
    solve(run, ensemble=kind, prior=prior)
    test = finished.features.rows.split == "test"
    probability, decision = score_memes(part_of(finished.features, test), run)
    submitted = read_ensembled(run / "heads").final[test]
    np.testing.assert_allclose(probability, submitted, rtol=0, atol=1e-9)
    threshold = json.loads((run / "metrics.json").read_text())["ensemble"]["threshold"]["value"]
    np.testing.assert_array_equal(decision, submitted > threshold)
    assert len(np.unique(probability.round(6))) > 3, "or else there is nothing to compare"


def test_a_meme_scored_alone_gets_what_it_gets_in_a_batch(finished, run, everyone):
    solve(run, ensemble="mean")
    probability, decision = score_memes(finished.features, run)
    for place in (7, 12, 100):
        alone = score_memes(part_of(finished.features, [place]), run)
        np.testing.assert_allclose(alone[0], probability[place], rtol=0, atol=1e-9)
        assert alone[1] == decision[place]


def test_spaces_of_other_widths_work_together(tmp_path):
    widths = {"space_1": (12, 8), "pretrained": (3, 90), "lexical": (5, 9)}
    features = planted.table("linear", widths=widths, test_labels=False)
    planted.write(tmp_path / "features.h5", features)
    fit_heads(FitConfig("linear,stack"), tmp_path)
    solve(tmp_path)
    test = features.rows.split == "test"
    probability, _ = score_memes(part_of(features, test), tmp_path)
    submitted = read_ensembled(tmp_path / "heads").final[test]
    np.testing.assert_allclose(probability, submitted, rtol=0, atol=1e-9)


def test_heads_fitted_on_other_features_do_not_score(run):
    with pytest.raises(UserError, match="fitted on other features"):
        score_memes(planted.table(stamp="b"), run)


def test_an_ensemble_whose_member_is_gone_does_not_score(finished, run):
    reweighed(run, interaction=0.5, linear=0.5)
    shutil.rmtree(run / "heads" / "linear")
    with pytest.raises(UserError, match=r"Run: python pipeline\.py submit"):
        score_memes(finished.features, run)


def test_an_ensemble_whose_members_parent_is_gone_does_not_score(finished, run):
    reweighed(run, stack=1.0)
    score_memes(finished.features, run)
    shutil.rmtree(run / "heads" / "linear")
    with pytest.raises(UserError, match=r"Run: python pipeline\.py submit"):
        score_memes(finished.features, run)


def test_members_that_were_dropped_are_not_needed(finished, run):
    reweighed(run, interaction=1.0)
    before = score_memes(finished.features, run)
    shutil.rmtree(run / "heads" / "linear")
    np.testing.assert_array_equal(score_memes(finished.features, run), before)


def test_an_ensemble_older_than_its_heads_does_not_score(finished, run):
    # The ensemble's threshold was tuned for accuracy, its members' now are for f1.
    fit_heads(FitConfig("linear", metric="f1"), run)
    with pytest.raises(UserError, match=r"Run first: python pipeline\.py submit"):
        score_memes(finished.features, run)
