"""label_issues.csv: which rows it lists, what it says of near-duplicates, when it is rewritten."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from features.feature_table import Rows
from features.hdf5_store import read_features
from heads.config import FitConfig, SubmitConfig
from heads.decision.prior_shift import shift_prior
from heads.ensemble.doubtful_labels import find_doubtful_labels, label_issues_csv
from heads.ensemble.run_memes import Meme
from heads.ensemble.saved_ensemble import read_ensemble, read_ensemble_probabilities
from heads.run import fit_heads, submit
from runtime.errors import UserError


def made_up_rows(label, group, split):
    count = len(label)
    return Rows(
        id=np.array(list("abcdefghijklmnop")[:count], dtype=object),
        split=np.array(split, dtype=object),
        label=np.array(label, dtype=np.int8),
        group=np.array(group, dtype=np.int32),
        fold=np.zeros(count, dtype=np.int16),
        order=np.full(count, -1, dtype=np.int32),
    )


LABEL = [0, 1, 0, 1, 1, 0, 1, 0]
HELD_OUT = np.array([0.9, 0.9, 0.1, 0.2, 0.8, 0.1, np.nan, np.nan])
ROWS = made_up_rows(LABEL, [0, 0, 1, 1, 2, 2, 0, 3], ["train"] * 5 + ["val", "test", "test"])


@pytest.fixture
def ensemble(finished):
    return read_ensemble(finished.folder / "heads")


def found(ensemble, rows=ROWS, held_out=HELD_OUT, contradictions=()):
    issues = find_doubtful_labels(rows, held_out, ensemble, list(contradictions)).issues
    return [(rows.id[issue.row], issue.relation, issue.other) for issue in issues]


def test_near_duplicates_with_the_other_label_are_named(ensemble):
    assert found(ensemble) == [("a", "near-duplicate", "b"), ("d", "near-duplicate", "c")]


def test_the_same_meme_is_named_rather_than_a_near_duplicate(ensemble):
    three = made_up_rows(LABEL, [0, 0, 1, 1, 0, 2, 0, 3], ROWS.split)
    assert found(ensemble, three, contradictions=[["a", "e"]])[0] == ("a", "same meme", "e")
    assert found(ensemble, three, contradictions=[["a", "gone"]])[0][1:] == ("near-duplicate", "b")


def test_test_labels_have_no_influence(ensemble):
    alone = made_up_rows(LABEL, [0, 4, 1, 1, 2, 2, 0, 3], ROWS.split)
    scored = np.where(np.isnan(HELD_OUT), 0.05, HELD_OUT)
    turned = replace(alone, label=np.where(alone.labelled, LABEL, 1 - alone.label))
    assert found(ensemble, alone, scored) == found(ensemble, turned, scored)
    assert found(ensemble, alone, scored)[0] == ("a", "", "")


def test_probabilities_moved_to_a_prior_are_moved_back(ensemble):
    moved = replace(ensemble, prior=0.9, trained_prior=0.5)
    issues = find_doubtful_labels(ROWS, shift_prior(HELD_OUT, 0.5, 0.9), moved, []).issues
    plain = find_doubtful_labels(ROWS, HELD_OUT, ensemble, []).issues
    assert [one.row for one in issues] == [one.row for one in plain]
    probabilities = [[one.probability for one in some] for some in (issues, plain)]
    np.testing.assert_allclose(*probabilities)


def test_captions_are_one_line_and_no_formula(ensemble):
    captions = ['=HYPERLINK("http://x")', "a", "b", "two\nlines, \u2028 one", *"efgh"]
    memes = [
        Meme(one, "train", caption, "", "") for one, caption in zip(ROWS.id, captions, strict=True)
    ]
    issues = find_doubtful_labels(ROWS, HELD_OUT, ensemble, [])
    lines = list(csv.DictReader(io.StringIO(label_issues_csv(issues, memes))))
    assert [line["caption"] for line in lines] == ['\'=HYPERLINK("http://x")', "two lines, one"]
    assert lines[0] == {
        "rank": "1", "id": "a", "split": "train", "label": "0", "probability_of_label": "0.1",
        "contradiction": "near-duplicate", "contradicting_id": "b",
        "caption": '\'=HYPERLINK("http://x")',
    }  # fmt: skip


def test_submit_lists_the_issues_of_its_ensemble_and_fitting_removes_them(run, quick, capsys):
    submit(SubmitConfig(ensemble="mean", out=str(run / "solution.csv")), run)
    rows = read_features(run / "features.h5", embeddings=False).rows
    ensemble = read_ensemble(run / "heads")
    held_out = read_ensemble_probabilities(run / "heads").held_out
    expected = find_doubtful_labels(rows, held_out, ensemble, []).issues
    with (run / "label_issues.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == [rows.id[issue.row] for issue in expected]
    assert lines and "caption" not in lines[0]
    assert "has no captions" in capsys.readouterr().err
    (run / "memes.jsonl").write_text("{}\n")
    (run / "solution.csv").unlink()
    with pytest.raises(UserError, match=r"memes\.jsonl"):
        submit(SubmitConfig(ensemble="mean", out=str(run / "solution.csv")), run)
    assert not (run / "solution.csv").exists()
    fit_heads(FitConfig("linear"), run)
    assert not (run / "label_issues.csv").exists()
