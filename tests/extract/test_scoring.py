"""Scoring a meme later gives the numbers that stage one stored for it."""

import numpy as np
import pytest

from extract.checkpoint import read_checkpoint
from extract.memes import read_unlabelled
from extract.scoring import embed_memes, read_one
from features.errors import UserError
from features.store import read_features

ARRAYS = ("image", "text", "joint_logit")


@pytest.fixture(scope="module")
def stored(tiny_run):
    return read_features(tiny_run / "features.h5")


def score(run, reading, on_bad_rows="stop"):
    return embed_memes(reading, run / "backbones", "cpu", on_bad_rows)


def test_the_test_table_gives_the_rows_of_features_h5_bit_for_bit(tiny_run, tiny_sample, stored):
    scored = score(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    test = stored.rows.split == "test"
    assert scored.rows.id.tolist() == stored.rows.id[test].tolist()
    for name in ARRAYS:
        ours, theirs = (getattr(table.spaces[0], name) for table in (scored, stored))
        assert np.array_equal(ours, theirs[test]), name


def test_one_meme_alone_has_the_same_bits_too(tiny_run, tiny_sample, stored):
    reading = read_unlabelled(tiny_sample / "test.csv")
    row = reading[0].rows.iloc[3]
    scored = score(tiny_run, read_one(tiny_sample / "img" / f"{row['id']}.png", row["caption"]))
    place = np.flatnonzero((stored.rows.split == "test") & (stored.rows.id == row["id"]))
    assert scored.rows.id.tolist() == [row["id"]]
    for name in ARRAYS:
        stored_values = getattr(stored.spaces[0], name)[place]
        assert np.array_equal(getattr(scored.spaces[0], name), stored_values), name


def test_scored_memes_count_as_unseen_test_rows_and_carry_the_runs_stamp(tiny_run, tiny_sample):
    scored = score(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    assert set(scored.rows.split) == {"test"}
    assert set(scored.rows.fold) == {-1}
    assert not scored.spaces[0].seen.any() and not scored.spaces[0].monitored.any()
    assert scored.attributes["stamp"] == read_checkpoint(tiny_run / "backbones/space_0").stamp


def test_a_picture_that_is_not_there_and_an_empty_caption_are_named(tiny_run, tmp_path):
    reading = read_one(tmp_path / "none.png", "  ")
    with pytest.raises(UserError) as error:
        score(tiny_run, reading)
    assert "none.png is not a file" in str(error.value)
    assert "the caption is empty" in str(error.value)


def test_blanking_still_scores_every_row(tiny_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("none", "broken"):
        scored = score(tiny_run, read_one(tmp_path / f"{name}.png", "words"), "blank")
        assert scored.rows.id.tolist() == [name]
        assert np.isfinite(scored.spaces[0].joint_logit).all()


def test_a_run_without_backbones_says_what_to_run(tmp_path, tiny_sample):
    with pytest.raises(
        UserError, match=r"has no backbones\. Run first: python pipeline\.py extract"
    ):
        score(tmp_path, read_unlabelled(tiny_sample / "test.csv"))


def test_a_space_without_its_checkpoint_says_what_to_run(tmp_path, tiny_sample):
    (tmp_path / "backbones" / "space_0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"checkpoint\.json is missing"):
        score(tmp_path, read_unlabelled(tiny_sample / "test.csv"))
