"""Absent captions are read off the original pictures: by a fake reader, and by rapidocr."""

import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from extract.data import read_captions as module
from extract.data.image_decoding import decode_pictures
from extract.data.load_data import without_captions
from extract.data.read_captions import load_reader, read_captions
from extract.doctor.check_weights import check_reader
from extract.new_memes import read_single_meme
from extract.predict import load_spaces
from extract.run import extract
from extract.spaces.checkpoint import read_checkpoint
from extract.spaces.reuse_spaces import is_affected
from extract.status import steps_of_stage_one
from extract.tables.read_memes import read_unlabelled
from features.hdf5_store import read_attributes, read_features
from runtime.errors import UserError
from runtime.files.json_files import read_json
from runtime.run_steps import DONE

WORDS = ("red", "green", "blue", "one", "two", "three", "four", "five", "six")


def fake_text(picture):
    """Return words that depend on all pixels of a picture; nothing for a black one."""
    total = int(np.asarray(picture, dtype=np.int64).sum())
    words = [WORDS[total // len(WORDS) ** place % len(WORDS)] for place in range(4)]
    return " ".join(words) if total else ""


@pytest.fixture
def opened(monkeypatch):
    """Replace the reader by `fake_text`. Returns the sizes of the pictures that it read."""
    sizes = []

    def read(picture):
        sizes.append(picture.size)
        return fake_text(picture)

    monkeypatch.setattr(module, "load_reader", lambda: read)
    monkeypatch.setattr("extract.spaces.run_setup.load_reader", lambda: read)
    return sizes


@pytest.fixture
def save(tmp_path):
    """f(name, colour) -> path of a picture of 90 x 40 pixels."""

    def write(name, colour):
        Image.new("RGB", (90, 40), colour).save(tmp_path / name)
        return tmp_path / name

    return write


def fill(table):
    pictures, _ = decode_pictures(table, 8, "bilinear")
    return read_captions(table, pictures)


def test_only_absent_captions_of_memes_with_a_picture_are_filled(save, make_table, opened):
    red, black = save("red.png", "red"), save("black.png", "black")
    table, remark = fill(make_table([red, red, black, ""], ["", "typed", "", ""]))
    text = fake_text(Image.open(red))
    assert table.rows["caption"].tolist() == [text, "typed", "", ""]
    assert table.rows["given"].tolist() == ["", "typed", "", ""]
    assert "now used: 1;" in remark and remark.endswith("nothing was found: 1")


def test_each_distinct_file_is_read_once_at_its_original_size(save, make_table, opened):
    red, copied = save("red.png", "red"), save("copied.png", "red")
    table, _ = fill(make_table([red, red, copied], ["", "", ""]))
    assert opened == [(90, 40)]
    assert len(set(table.rows["caption"])) == 1


def test_captions_stay_with_their_pictures_whatever_thread_is_first(save, make_table, opened):
    paths = [save(f"{shade}.png", (shade, 9, 200 - shade)) for shade in range(0, 120, 3)]
    table, _ = fill(make_table(paths, [""] * len(paths)))
    assert table.rows["caption"].tolist() == [fake_text(Image.open(path)) for path in paths]


def test_no_reader_is_loaded_if_every_caption_is_given(save, make_table, monkeypatch):
    monkeypatch.setattr(module, "load_reader", lambda: pytest.fail("loaded"))
    given = make_table([save("a.png", "red"), ""], ["typed", ""])
    table, remark = fill(given)
    assert table is given and "every meme with a picture has a caption" in remark


def test_fingerprint_is_that_of_the_captions_as_given(save, make_table, opened):
    given = make_table([save("a.png", "red")], [""])
    pictures, _ = decode_pictures(given, 8, "bilinear")
    filled, _ = read_captions(given, pictures)
    before, after = (without_captions(table, pictures) for table in (given, filled))
    assert before.captions() != after.captions()
    assert before.fingerprint() == after.fingerprint()


def test_missing_package_is_one_message_that_says_what_to_install(tmp_path, tiny_config):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rapidocr", None)
        with pytest.raises(UserError, match=r"Run: pip install -r requirements-ocr\.txt"):
            extract(replace(tiny_config, read_captions=True), tmp_path / "run")


# A run that reads captions


@pytest.fixture
def silent(tiny_sample, tmp_path):
    """Return a copy of the sample without captions."""
    folder = shutil.copytree(tiny_sample, tmp_path / "silent")
    for split in ("train", "val", "test"):
        path = folder / f"{split}.csv"
        pd.read_csv(path, dtype=str).assign(text="").to_csv(path, index=False)
    return folder


@pytest.fixture
def reading_run(silent, tiny_config, tmp_path, opened):
    """Return a run on these, without fine-tuning."""
    config = replace(tiny_config, data=str(silent), folds=0, read_captions=True)
    extract(config, tmp_path / "reading")
    return tmp_path / "reading"


def embed(run, reading):
    spaces = load_spaces(run / "backbones", "cpu")
    memes = spaces.load(reading, "stop")
    return spaces.embed(memes), memes.captions()


def test_run_uses_shows_and_remembers_what_was_read(reading_run, silent, opened):
    memes = [line for line in (reading_run / "memes.jsonl").read_text().splitlines() if line]
    assert len(memes) == 160 and all(any(word in line for word in WORDS) for line in memes)
    remarks = read_json(reading_run / "data.json", "extract")["remarks"]
    assert any("now used: 160;" in remark for remark in remarks)
    assert read_checkpoint(reading_run / "backbones/pretrained").read_captions
    opened.clear()
    steps = list(steps_of_stage_one(reading_run))
    assert {step.state for step in steps} == {DONE} and not opened, "status reads no pictures"
    assert "--read-captions" in steps[-1].detail and "True" not in steps[-1].detail


def test_status_knows_rows_that_were_divided_by_what_was_read(silent, tiny_config, opened):
    tables = [pd.read_csv(silent / f"{split}.csv", dtype=str) for split in ("train", "test")]
    path = silent / "all.csv"
    pd.concat(tables).to_csv(path, index=False)
    settings = {"folds": 0, "split": "0.6,0.2,0.2", "read_captions": True}
    extract(replace(tiny_config, data=str(path), **settings), silent / "run")
    assert {step.state for step in steps_of_stage_one(silent / "run")} == {DONE}


def test_predict_reads_captions_with_the_same_bits(reading_run, silent):
    features = read_features(reading_run / "features.h5")
    test = features.rows.split == "test"
    table, captions = embed(reading_run, read_unlabelled(silent / "test.csv"))
    for space, expected in zip(table.spaces, features.spaces, strict=True):
        assert np.array_equal(space.text, expected.text[test])
        assert np.array_equal(space.image, expected.image[test])
    picture = silent / "img" / f"{table.rows.id[0]}.png"
    assert captions[0] == fake_text(Image.open(picture))
    assert embed(reading_run, read_single_meme(picture, None))[1] == captions[:1]
    assert embed(reading_run, read_single_meme(picture, "typed"))[1] == ["typed"]


def test_run_without_the_setting_reads_nothing(tiny_run, tiny_sample, opened):
    picture = next((tiny_sample / "img").iterdir())
    assert embed(tiny_run, read_single_meme(picture, None))[1] == [""]
    assert not opened


def test_no_space_is_reused_after_a_change_of_the_setting(reading_run):
    new = read_attributes(reading_run / "features.h5")
    old = {**new, "config": {**new["config"], "read_captions": False}}
    assert is_affected("pretrained", old, new) and is_affected("lexical", old, new)


# With rapidocr


def draw(path, text, size=(300, 200), background="white"):
    picture = Image.new("RGB", size, background)
    font = ImageFont.load_default(size=28)
    ImageDraw.Draw(picture).multiline_text((10, 10), text, font=font, fill="black")
    picture.save(path)
    return path


@pytest.fixture
def rapidocr():
    pytest.importorskip("rapidocr")


def test_drawn_captions_are_read_in_reading_order(rapidocr, tmp_path, make_table, capfd):
    texts = ["when you see\nthe new dog", "look how many\npeople love you", ""]
    paths = [
        draw(tmp_path / f"{number}.png", text, background=colour)
        for number, (text, colour) in enumerate(
            zip(texts, ("white", "lightblue", "gray"), strict=True)
        )
    ]
    table, _ = fill(make_table(paths, [""] * 3))
    assert table.rows["caption"].tolist() == [" ".join(text.split("\n")) for text in texts]
    assert capfd.readouterr() == ("", ""), "rapidocr prints nothing"


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (30000, 40)])
def test_extreme_sizes_take_no_more_memory_than_others(rapidocr, size):
    assert load_reader()(Image.new("RGB", size, "white")) == ""


def test_missing_model_is_not_downloaded(rapidocr, monkeypatch):
    monkeypatch.setattr(module, "MODELS", {"Det.model_path": "none.onnx"})
    with pytest.raises(UserError, match=r"none.onnx is missing\. Run: pip install"):
        load_reader()


@pytest.mark.skipif(find_spec("rapidocr") is not None, reason="rapidocr is installed")
def test_doctor_reports_missing_packages():
    found = check_reader()
    assert found.state == "FAIL" and "requirements-ocr.txt" in found.found
