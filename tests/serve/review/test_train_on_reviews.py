"""From the Review page to the next training: what reviewers decided is trained on."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest

from extract.run import extract
from extract.status import steps_of_stage_one
from features.hdf5_store import read_features
from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime.errors import UserError
from runtime.files.json_files import read_json
from serve.review.review_memes import read_doubtful_memes
from serve.review.review_queue import ReviewQueue

pytestmark = pytest.mark.usefixtures("quick_heads")


def labels(rows, split, ids):
    chosen = (rows.split == split) & np.isin(rows.id, ids)
    return dict(zip(rows.id[chosen], rows.label[chosen].tolist(), strict=True))


def ids_of(path):
    with path.open(encoding="utf-8") as file:
        return [row[0] for row in csv.reader(file)]


@pytest.fixture(scope="module")
def trained_again(scored_run, tiny_config, tmp_path_factory):
    """A run that is trained on four decisions of its reviewers, and these by id."""
    folder = tmp_path_factory.mktemp("reviewed")
    run = shutil.copytree(scored_run, folder / "run")
    doubtful = read_doubtful_memes(run, 0.5)
    queue = ReviewQueue(run / "review.jsonl", doubtful.memes, 0.5, "stamp")
    made = {}
    for decision in ("hateful", "not", "hateful", "not"):
        meme = queue.next("Ada").meme
        queue.decide(meme.row, decision, "Ada")
        made[meme.id] = int(decision == "hateful")
    undone = queue.next("Ada").meme
    queue.decide(undone.row, "hateful", "Ada")
    queue.undo("Ada")
    queue.close()
    config = replace(tiny_config, folds=0, add=[str(run / "review.jsonl")])
    extract(config, run, force=True)
    fit_heads(FitConfig(heads="linear"), run)
    submit(SubmitConfig(ensemble="mean", out=str(folder / "solution.csv")), run)
    return run, made, config


def test_decisions_are_labels_of_train_rows_in_the_group_of_their_test_row(trained_again):
    run, made, _ = trained_again
    rows = read_features(run / "features.h5", embeddings=False).rows
    assert labels(rows, "train", list(made)) == made
    assert labels(rows, "test", list(made)) == dict.fromkeys(made, -1)
    for name in made:
        both = rows.id == name
        assert len(set(rows.group[both])) == 1 and sorted(rows.fold[both]) == [-1, 0]


def test_each_test_id_is_still_answered_once_and_the_run_says_what_was_added(trained_again):
    run, made, _ = trained_again
    asked = ids_of(run.parent / "solution.csv")
    assert len(asked) == len(set(asked)) and set(made) < set(asked)
    assert any(
        "4 of these data, 0 others" in remark
        for remark in read_json(run / "data.json", "extract")["remarks"]
    )


def test_they_are_not_reviewed_again(trained_again):
    run, made, _ = trained_again
    left = {meme.id for meme in read_doubtful_memes(run, 0.5).memes}
    assert left and not left & set(made)


def test_the_run_is_current_until_there_are_other_decisions(trained_again, capsys):
    run, _, config = trained_again
    extract(config, run)
    assert "up to date" in capsys.readouterr().err
    assert next(iter(steps_of_stage_one(run))).state == "done"
    with pytest.raises(UserError, match="the data: other rows, captions, labels or pictures"):
        extract(replace(config, add=None), run)
    reviews = run / "review.jsonl"
    reviews.write_text("".join(reviews.read_text().splitlines(keepends=True)[1:]))
    assert next(iter(steps_of_stage_one(run))).state == "stale"
