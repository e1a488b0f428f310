"""The reference holds what predict measures, of held-out memes, and is of the run's ensemble."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from extract.data.tokenisation import tokenise
from features.hdf5_store import read_features
from heads.config import SUBMITTED
from heads.ensemble.saved_ensemble import read_ensemble_probabilities
from heads.fitting.saved_heads import read_probabilities
from heads.predict import load_scorer
from heads.report.finished_run import read_run
from serve.drift.drift_reference import load_check, read_reference, say_if_unchecked
from serve.drift.held_out_memes import held_out_quantities, write_reference
from serve.drift.meme_quantities import load_tokenizer, nearest_similarity


@pytest.fixture(scope="module")
def features(checked_run):
    return read_features(checked_run / "features.h5")


def test_the_reference_has_what_predict_would_measure(checked_run, features):
    run, scorer = read_run(checked_run), load_scorer(checked_run, features.attributes["stamp"])
    reference = read_reference(checked_run)
    rows, quantities = held_out_quantities(run, scorer, reference.training)
    np.testing.assert_array_equal(reference.quantities, quantities)
    captions = [run.memes[row].caption for row in rows]
    measures = load_check(checked_run, scorer).measures
    everyone = np.zeros(len(features))
    _, _, measured = measures.measure([meme.caption for meme in run.memes], features, everyone)
    np.testing.assert_array_equal(measured[rows, 1:3], quantities[:, 1:3])
    # The distance of a training meme to itself is 0; only near-duplicates are left out.
    np.testing.assert_allclose(measured[rows, 3], 0, atol=1e-5)
    assert np.all(quantities[:, 3] > 1e-4) and len(rows) > 90
    words = [caption.split() for caption in captions]
    assert np.all(quantities[:, 1] >= [len(one) for one in words])


def test_held_out_probabilities_are_combined_as_those_of_new_memes(checked_run, features):
    scorer = load_scorer(checked_run, features.attributes["stamp"])
    test = np.flatnonzero(features.rows.split == "test")
    heads = [read_probabilities(checked_run / "heads" / name) for name in scorer.members]
    final = replace(scorer, reference=np.stack([one.final[test] for one in heads]))
    expected = read_ensemble_probabilities(checked_run / "heads").final[test]
    np.testing.assert_allclose(final.adjust(final.score_held_out(), SUBMITTED), expected)
    members = np.stack([one.held_out for one in heads])
    np.testing.assert_array_equal(scorer.reference, members[:, scorer.held_out_rows])
    assert len(scorer.held_out_rows) == 128 == scorer.score_held_out().size


def test_near_duplicates_are_not_compared():
    unit = np.eye(3, dtype=np.float32)
    memes, training = unit[[0, 1]], unit[[0, 0, 1]] * np.float32(0.5)
    assert nearest_similarity(memes, training).tolist() == [0.5, 0.5]
    groups = np.array([7, 8]), np.array([7, 9, 8])
    assert nearest_similarity(memes, training, groups).tolist() == [0.5, 0.0]


def test_lengths_are_not_truncated_and_unknown_tokens_are_counted(checked_run, make_tokenizer):
    tokenizer = load_tokenizer(checked_run / "backbones")
    assert len(tokenizer.encode("ab " * 500).ids) == 1002
    unknown = tokenise(["ab \u0416", "x"], make_tokenizer(), 32, 0).unknown
    assert unknown == pytest.approx(1 / 4)


def test_runs_of_older_versions_and_other_ensembles_say_what_to_run(
    checked_run, scored_run, tmp_path, capsys
):
    assert read_reference(scored_run) is None
    without_models = shutil.ignore_patterns("backbones")
    run = shutil.copytree(checked_run, tmp_path / "run", ignore=without_models)
    say_if_unchecked(run)
    assert capsys.readouterr().err == ""
    ensemble = run / "heads" / "ensemble.json"
    ensemble.write_text(ensemble.read_text() + " ")
    say_if_unchecked(run)
    assert "drift.npz is missing, or of another ensemble. To get it" in capsys.readouterr().err
    write_reference(read_run(run))  # a run that cannot predict is left alone
    assert read_reference(run) is None
