"""What is said of held-out rows is what test rows bear out, from features to ensemble."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from scipy.special import expit
from scipy.stats import norm

from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit


def scored(folder, features):
    """The scores of each head and of the ensemble."""
    planted.write(folder / "features.h5", features)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        planted.hurry(patch.setattr)
        fit_heads(FitConfig(planted.HEADS), folder)
        submit(SubmitConfig(out=str(folder / "solution.csv")), folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    judged = [*metrics["heads"], {**metrics["ensemble"], "name": "ensemble"}]
    return {one["name"]: one["scores"] for one in judged}


def overfit(features):
    """Backbones that know the rows they saw by heart, as fine-tuned ones do."""
    side = 2 * features.rows.label - 1

    def learned(space):
        image, logit = space.image.copy(), space.joint_logit
        image[space.seen, 0] = 6 * side[space.seen]
        if logit is not None:
            logit = np.where(space.seen, 5 * side, logit).astype(np.float32)
        return replace(space, image=image, joint_logit=logit)

    return replace(features, spaces=[learned(space) for space in features.spaces])


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """Where labels are coins, and the backbones know those they saw."""
    folder = tmp_path_factory.mktemp("chance")
    features = overfit(planted.table("noise", 600))
    return folder, features, scored(folder, features)


@pytest.mark.parametrize(
    "name", ["joint", *planted.HEADS.split(","), "image only", "text only", "ensemble"]
)
def test_labels_that_are_coins_are_guessed_by_nobody(chance, name):
    low, high = chance[2][name]["held_out"]["auroc"]["interval"]
    # Choices made on a few hundred coins flatter a little.
    assert low - 0.03 < 0.5 < high + 0.03


def test_coins_that_were_seen_are_known_or_else_there_is_nothing_to_leak(chance):
    _, features, _ = chance
    side = 2 * features.rows.label - 1
    for space in features.spaces:
        if space.joint_logit is not None:
            assert (expit(space.joint_logit) - 0.5)[space.seen] @ side[space.seen] > 0.3 * sum(
                space.seen
            )


SPACES = ("space_0", "pretrained", "lexical")
STRENGTH = 0.8


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    """Where the picture's side is the label, and is seen through noise in every space.

    With one pair of backbones, as many spaces have their say on held-out rows as on test rows.
    """
    features = planted.table("linear", 1500, spaces=SPACES, strength=STRENGTH)
    return scored(tmp_path_factory.mktemp("signal"), features)


def best_possible(spaces):
    """AUROC of whoever knows the noise's law, from independent looks at the same side."""
    return norm.cdf(STRENGTH * spaces**0.5 / 2**0.5)


def test_nobody_beats_who_knows_the_law_but_the_ensemble_comes_near(signal):
    best = best_possible(len(SPACES))
    for scores in signal.values():
        assert scores["held_out"]["auroc"]["interval"][0] < best
    assert signal["ensemble"]["held_out"]["auroc"]["value"] == pytest.approx(best, abs=0.04)


def test_the_ensembles_held_out_figures_are_what_test_rows_bear_out(signal):
    for figure in ("auroc", "log_loss", "brier", "accuracy_tuned"):
        held_out, test = (signal["ensemble"][rows][figure] for rows in ("held_out", "test"))
        (low, high), (lowest, highest) = held_out["interval"], test["interval"]
        assert lowest < held_out["value"] < highest
        assert low < test["value"] < high


def test_the_ensembles_probabilities_mean_what_they_say(signal):
    for rows in ("held_out", "test"):
        assert signal["ensemble"][rows]["calibration_error"] < 0.08


def test_with_several_pairs_of_backbones_held_out_figures_do_not_flatter(tmp_path):
    features = planted.table("linear", 900, strength=STRENGTH)
    scores = scored(tmp_path, features)["ensemble"]
    # One pair has a say on a held-out row, both have one on a test row.
    assert scores["held_out"]["auroc"]["value"] < scores["test"]["auroc"]["interval"][1]
    assert scores["held_out"]["auroc"]["interval"][0] < best_possible(3)
