"""Prediction embeds a meme with the same bits as `extract` stored in features.h5."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from extract.new_memes import read_single_meme
from extract.predict import load_spaces
from extract.run import extract
from extract.spaces.checkpoint import read_checkpoint
from extract.tables.read_memes import read_unlabelled
from features.feature_table import FINE_TUNED
from features.hdf5_store import read_features
from runtime.errors import UserError
from runtime.files.json_files import read_json, write_json

ARRAYS = ("image", "text", "joint_logit")


@pytest.fixture(scope="module")
def features(tiny_run):
    return read_features(tiny_run / "features.h5")


def embed(run, reading, on_bad_rows="stop"):
    spaces = load_spaces(run / "backbones", "cpu")
    return spaces.embed(spaces.load(reading, on_bad_rows))


def assert_same_bits(predicted, features, rows):
    """Compare all spaces, in order. `joint_logit` is None in spaces without a fusion head."""
    for space, expected_space in zip(predicted.spaces, features.spaces, strict=True):
        assert space.name == expected_space.name
        for name in ARRAYS:
            values, expected = getattr(space, name), getattr(expected_space, name)
            if expected is None:
                assert values is None
            else:
                assert values.dtype == expected.dtype
                assert np.array_equal(values, expected[rows]), (space.name, name)


def test_test_table_has_the_same_bits_as_features_h5(tiny_run, tiny_sample, features):
    predicted = embed(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    test = features.rows.split == "test"
    assert predicted.rows.id.tolist() == features.rows.id[test].tolist()
    assert_same_bits(predicted, features, test)


def test_table_embedded_in_parts_has_the_same_bits(tiny_run, tiny_sample, features):
    spaces = load_spaces(tiny_run / "backbones", "cpu")
    memes = spaces.load(read_unlabelled(tiny_sample / "test.csv"), "stop")
    first = np.flatnonzero(features.rows.split == "test")[0]
    for start in (0, 12, 24):
        table = spaces.embed(memes.subset(slice(start, start + 12)))
        rows = np.arange(len(table)) + first + start
        assert table.rows.id.tolist() == features.rows.id[rows].tolist()
        assert_same_bits(table, features, rows)


def test_single_meme_has_the_same_bits(tiny_run, tiny_sample, features):
    reading = read_unlabelled(tiny_sample / "test.csv")
    row = reading[0].rows.iloc[3]
    predicted = embed(
        tiny_run, read_single_meme(tiny_sample / "img" / f"{row['id']}.png", row["caption"])
    )
    index = np.flatnonzero((features.rows.split == "test") & (features.rows.id == row["id"]))
    assert predicted.rows.id.tolist() == [row["id"]]
    assert_same_bits(predicted, features, index)


def test_float16_run_has_the_same_bits(tiny_config, tiny_sample, tmp_path):
    run = tmp_path / "runs" / "half"
    half = read_features(extract(replace(tiny_config, embedding_dtype="float16"), run))
    for space in half.spaces:
        assert (space.text == space.text.astype(np.float16)).all()
    predicted = embed(run, read_unlabelled(tiny_sample / "test.csv"))
    assert_same_bits(predicted, half, half.rows.split == "test")


def test_new_memes_are_unseen_test_rows_with_the_stamp_of_the_run(tiny_run, tiny_sample):
    predicted = embed(tiny_run, read_unlabelled(tiny_sample / "test.csv"))
    assert set(predicted.rows.split) == {"test"}
    assert set(predicted.rows.fold) == {-1}
    assert all(space.held_out.all() for space in predicted.spaces)
    assert predicted.attributes["stamp"] == read_checkpoint(tiny_run / "backbones/space_0").stamp


def test_missing_picture_and_broken_caption_are_reported(tiny_run, tmp_path):
    reading = read_single_meme(tmp_path / "none.png", "a\0b")
    with pytest.raises(UserError) as error:
        embed(tiny_run, reading)
    assert "none.png is not a file" in str(error.value)
    assert "NUL" in str(error.value)


def test_blank_mode_embeds_every_row(tiny_run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("none", "broken"):
        predicted = embed(tiny_run, read_single_meme(tmp_path / f"{name}.png", "words"), "blank")
        assert predicted.rows.id.tolist() == [name]
        for space in predicted.spaces:
            assert np.isfinite(space.image).all() and np.isfinite(space.text).all()


def test_error_for_a_run_without_backbones_names_the_command(tmp_path, tiny_sample):
    with pytest.raises(
        UserError, match=r"has no backbones\. Run first: python pipeline\.py extract"
    ):
        embed(tmp_path, read_unlabelled(tiny_sample / "test.csv"))


def test_error_for_a_space_without_checkpoint_names_the_file(tmp_path, tiny_sample):
    (tmp_path / "backbones" / "space_0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"checkpoint\.json is missing"):
        embed(tmp_path, read_unlabelled(tiny_sample / "test.csv"))


def test_error_for_a_lexical_space_without_pretrained_names_the_command(run, tiny_sample):
    shutil.rmtree(run / "backbones" / "pretrained")
    with pytest.raises(UserError, match=r"pretrained is missing.*pipeline\.py extract"):
        embed(run, read_unlabelled(tiny_sample / "test.csv"))


def test_space_of_another_extraction_is_rejected(run, tiny_sample):
    path = run / "backbones" / "space_1" / "checkpoint.json"
    write_json(path, {**read_json(path, "extract"), "stamp": "another"})
    with pytest.raises(
        UserError, match=r"space_1 belongs to another extraction .* Delete .*space_1"
    ):
        embed(run, read_unlabelled(tiny_sample / "test.csv"))


def test_spaces_are_sorted_by_number(run, tiny_sample):
    for number in (2, 10):
        shutil.copytree(run / "backbones/space_0", run / f"backbones/space_{number}")
    predicted = embed(run, read_unlabelled(tiny_sample / "test.csv"))
    tuned = [space.name for space in predicted.spaces if space.kind == FINE_TUNED]
    assert tuned == ["space_0", "space_1", "space_2", "space_10"]


def test_run_with_fp16_is_reported_on_a_cpu(run, tiny_sample, capsys):
    for path in run.glob("backbones/*/checkpoint.json"):
        write_json(path, {**read_json(path, "extract"), "precision": "fp16"})
    embed(run, read_unlabelled(tiny_sample / "test.csv"))
    assert "the run used fp16" in capsys.readouterr().err
