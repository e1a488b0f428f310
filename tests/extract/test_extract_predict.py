"""Scoring a meme later gives the numbers that stage one stored for it."""

import shutil

import numpy as np
import pytest

from extract.data.read_memes import read_unlabelled
from extract.predict import embed_memes, read_one
from extract.spaces.checkpoint import read_checkpoint
from features.feature_table import FINE_TUNED
from features.hdf5_store import read_features
from runtime.errors import UserError
from runtime.json_files import read_json, write_json

ARRAYS = ("image", "text", "joint_logit")


@pytest.fixture(scope="module")
def stored(tiny_run):
    return read_features(tiny_run / "features.h5")


def score(run, reading, on_bad_rows="stop"):
    [table] = embed_memes(reading, run / "backbones", "cpu", on_bad_rows)
    return table


def same_bits(scored, stored, rows):
    """In every space, in their order; None where there is no fusion head."""
    for ours, theirs in zip(scored.spaces, stored.spaces, strict=True):
        assert ours.name == theirs.name
        for name in ARRAYS:
            values, wanted = getattr(ours, name), getattr(theirs, name)
            if wanted is None:
                assert values is None
            else:
                assert values.dtype == wanted.dtype
                assert np.array_equal(values, wanted[rows]), (ours.name, name)


def test_the_test_table_gives_the_rows_of_features_h5_bit_for_bit(tiny_run, tiny_sample, stored):
    scored = score(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    test = stored.rows.split == "test"
    assert scored.rows.id.tolist() == stored.rows.id[test].tolist()
    same_bits(scored, stored, test)


def test_a_table_that_comes_in_parts_has_the_same_bits(tiny_run, tiny_sample, stored, monkeypatch):
    monkeypatch.setattr("extract.predict.AT_ONCE", 20)
    reading = read_unlabelled(tiny_sample / "test.csv")
    tables = list(embed_memes(reading, tiny_run / "backbones", "cpu", "stop"))
    assert [len(table) for table in tables] == [20, 20, 8]
    first = np.flatnonzero(stored.rows.split == "test")[0]
    for start, table in zip((0, 20, 40), tables, strict=True):
        rows = np.arange(len(table)) + first + start
        assert table.rows.id.tolist() == stored.rows.id[rows].tolist()
        same_bits(table, stored, rows)


def test_one_meme_alone_has_the_same_bits_too(tiny_run, tiny_sample, stored):
    reading = read_unlabelled(tiny_sample / "test.csv")
    row = reading[0].rows.iloc[3]
    scored = score(tiny_run, read_one(tiny_sample / "img" / f"{row['id']}.png", row["caption"]))
    place = np.flatnonzero((stored.rows.split == "test") & (stored.rows.id == row["id"]))
    assert scored.rows.id.tolist() == [row["id"]]
    same_bits(scored, stored, place)


def test_scored_memes_count_as_unseen_test_rows_and_carry_the_runs_stamp(tiny_run, tiny_sample):
    scored = score(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    assert set(scored.rows.split) == {"test"}
    assert set(scored.rows.fold) == {-1}
    assert all(space.held_out.all() for space in scored.spaces)
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
        for space in scored.spaces:
            assert np.isfinite(space.image).all() and np.isfinite(space.text).all()


def test_a_run_without_backbones_says_what_to_run(tmp_path, tiny_sample):
    with pytest.raises(
        UserError, match=r"has no backbones\. Run first: python pipeline\.py extract"
    ):
        score(tmp_path, read_unlabelled(tiny_sample / "test.csv"))


def test_a_space_without_its_checkpoint_says_what_to_run(tmp_path, tiny_sample):
    (tmp_path / "backbones" / "space_0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"checkpoint\.json is missing"):
        score(tmp_path, read_unlabelled(tiny_sample / "test.csv"))


def test_a_lexical_space_whose_pictures_are_gone_says_what_to_run(run, tiny_sample):
    shutil.rmtree(run / "backbones" / "pretrained")
    with pytest.raises(UserError, match=r"pretrained is missing.*pipeline\.py extract"):
        score(run, read_unlabelled(tiny_sample / "test.csv"))


def test_a_space_of_another_extraction_is_not_scored_with(run, tiny_sample):
    path = run / "backbones" / "space_1" / "checkpoint.json"
    write_json(path, {**read_json(path, "extract"), "stamp": "another"})
    with pytest.raises(UserError, match=r"space_1 is of another extraction .* Delete .*space_1"):
        score(run, read_unlabelled(tiny_sample / "test.csv"))


def test_the_eleventh_space_comes_after_the_third(run, tiny_sample):
    for number in (2, 10):
        shutil.copytree(run / "backbones/space_0", run / f"backbones/space_{number}")
    scored = score(run, read_unlabelled(tiny_sample / "test.csv"))
    tuned = [space.name for space in scored.spaces if space.kind == FINE_TUNED]
    assert tuned == ["space_0", "space_1", "space_2", "space_10"]


def test_fp16_of_the_run_is_said_to_be_missing_on_a_cpu(run, tiny_sample, capsys):
    for path in run.glob("backbones/*/checkpoint.json"):
        write_json(path, {**read_json(path, "extract"), "precision": "fp16"})
    score(run, read_unlabelled(tiny_sample / "test.csv"))
    assert "the run used fp16" in capsys.readouterr().err
