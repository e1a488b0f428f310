"""Near-duplicates: similar pictures and captions are grouped, different ones are not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from extract.data.image_decoding import Pictures, decode_pictures
from extract.folds.near_captions import normalise_caption
from extract.folds.near_duplicates import group_near_duplicates

# Any two of these hashes differ in at least 16 bits.
HASHES = [0x00000000FFFFFFFF, 0xFFFFFFFF00000000, 0x0F0F0F0F0F0F0F0F, 0xAAAAAAAAAAAAAAAA]


def make_pictures(index, hashes=None):
    count = max(index) + 1
    hashes = np.array(hashes or HASHES[:count], dtype=np.uint64)
    return Pictures(
        np.zeros((count, 3, 1, 1), np.uint8), hashes, [f"{n}" for n in range(count)], index
    )


@pytest.fixture
def group_numbers(make_table):
    """Return f(captions, picture index of each row) -> group numbers."""

    def group(captions, index, hashes=None):
        table = make_table([str(picture) for picture in index], captions)
        return group_near_duplicates(table, make_pictures(np.array(index), hashes)).group.tolist()

    return group


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120, 120), Image.Resampling.BICUBIC)


def test_same_caption_links_two_pictures(group_numbers):
    assert group_numbers(["one", "one", "two"], [0, 1, 2]) == [0, 0, 1]


def test_same_picture_links_two_captions(group_numbers):
    assert group_numbers(["one", "two", "three"], [0, 1, 0]) == [0, 1, 0]


@pytest.mark.parametrize(
    "variant",
    ["GOOD MORNING!", "good, morning", "  good\n morning... ", "“Good—morning”", "good_morning"],
)
def test_case_punctuation_and_spaces_are_ignored(group_numbers, variant):
    assert group_numbers(["Good morning", variant, "good mourning"], [0, 1, 2]) == [0, 0, 1]


# Five words have four pairs. Three shared pairs of five are 0.6, and two of four are 0.5.
@pytest.mark.parametrize(
    ("one", "other", "linked"),
    [
        ("a b c d e", "A b c d F!", True),
        ("a b c d", "a b c e", False),
        ("when you see the dog", "when you see the dog again", True),
        ("when you see the dog", "dog the see you when", False),
        ("a b a b a b", "b a b", True),
        ("same", "same here", False),
        ("one", "two", False),
    ],
    ids=[
        "six tenths", "half", "a word added", "another order", "repeats", "one word", "words apart"
    ],
)  # fmt: skip
def test_captions_are_linked_from_an_overlap_of_six_tenths(group_numbers, one, other, linked):
    assert group_numbers([one, other, "x y z"], [0, 1, 2]) == ([0, 0, 1] if linked else [0, 1, 2])


def test_unicode_is_normalised():
    assert normalise_caption("caf\u00e9 time") == normalise_caption("cafe\u0301 time")


def test_different_captions_in_other_scripts_are_not_linked(group_numbers):
    assert group_numbers(["доброе утро", "早上好", "काल", "कील"], [0, 1, 2, 3]) == [0, 1, 2, 3]


def test_chain_of_captions_and_pictures_is_one_group(group_numbers):
    captions = ["one", "one", "two", "three", "two"]
    assert group_numbers(captions, [0, 1, 1, 2, 3]) == [0, 0, 0, 1, 0]


def test_pictures_are_linked_up_to_eight_different_bits(group_numbers):
    hashes = [0, 0xFF, 0x1FF << 32, 0xFFFF << 40]
    assert group_numbers(list("abcd"), [0, 1, 2, 3], hashes) == [0, 0, 1, 2]


def test_unreadable_pictures_and_empty_captions_link_no_rows(make_table):
    table = make_table(["", "", "x"], ["", "?!", ""])
    pictures = Pictures(
        np.zeros((2, 3, 1, 1), np.uint8),
        np.array([0, 0], np.uint64),
        ["", "digest of x"],
        np.array([0, 0, 1]),
    )
    assert group_near_duplicates(table, pictures).group.tolist() == [0, 1, 2]


def test_two_broken_files_are_not_near_duplicates(make_table, tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"two")
    table = make_table([tmp_path / "a.png", tmp_path / "b.png"], ["one", "two"])
    pictures, _ = decode_pictures(table, 32, "bicubic")
    assert group_near_duplicates(table, pictures).group.tolist() == [0, 1]


def test_edited_copies_of_a_picture_are_one_group(make_table, tmp_path):
    original = photo(0)
    jpeg = io.BytesIO()
    original.save(jpeg, "JPEG", quality=40)
    versions = {
        "original": original,
        "brighter": ImageEnhance.Brightness(original).enhance(1.15),
        "recompressed": Image.open(jpeg),
        "smaller": original.resize((64, 64)),
        "wider": original.resize((160, 120)),
        "other": photo(1),
        "another": photo(2),
    }
    for name, picture in versions.items():
        picture.save(tmp_path / f"{name}.png")
    table = make_table([tmp_path / f"{name}.png" for name in versions], list(versions))
    pictures, _ = decode_pictures(table, 32, "bicubic")
    assert group_near_duplicates(table, pictures).group.tolist() == [0, 0, 0, 0, 0, 1, 2]


# What carries no information


@pytest.fixture
def many_rows(make_table):
    """100 memes with different captions; a third have one picture, in two spellings."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 100, dtype=np.uint64)
    index = np.arange(100)
    index[:30] = 0
    hashes[1] = hashes[0] ^ np.uint64(1)  # saved again: other bytes, nearly the same hash
    index[30:35] = 1
    pictures = Pictures(None, hashes, [f"{n}" for n in range(100)], index)
    captions = [f"{n} is {n * 7} or {n * 13}" for n in range(100)]
    return make_table(index, captions), pictures


def test_placeholder_picture_links_no_memes_and_is_counted(many_rows):
    found = group_near_duplicates(*many_rows)
    assert len(np.unique(found.group[:35])) == 35
    assert (found.pictures, found.captions) == (35, 0)
    assert found.remarks()[0].startswith("placeholders: 35 of 100 rows have a picture")


def test_picture_of_a_few_memes_links_them(make_table):
    index = np.array([0] * 12 + list(range(1, 90)))
    hashes = np.random.default_rng(0).integers(0, 2**63, 90, dtype=np.uint64)
    pictures = Pictures(None, hashes, [f"{n}" for n in range(90)], index)
    table = make_table(index, [f"{n} is {n * 7} or {n * 13}" for n in range(101)])
    found = group_near_duplicates(table, pictures)
    assert len(set(found.group[:12].tolist())) == 1 and found.remarks() == []


def test_chain_of_near_duplicates_is_no_placeholder(make_table):
    """Each picture is near the next one only, so none is shared by many memes."""
    hashes = np.array([(1 << (6 * n)) - 1 for n in range(10)], dtype=np.uint64)
    others = np.random.default_rng(2).integers(0, 2**63, 90, dtype=np.uint64)
    index = np.arange(100)
    pictures = Pictures(None, np.concatenate([hashes, others]), [f"{n}" for n in range(100)], index)
    table = make_table(np.repeat(index, 3), [f"{n} is {n * 7} or {n * 13}" for n in range(300)])
    found = group_near_duplicates(table, replace(pictures, index=np.repeat(index, 3)))
    assert len(set(found.group[:30].tolist())) == 1 and found.pictures == 0


def test_caption_that_many_memes_share_links_none(group_numbers):
    index = list(range(60))
    hashes = np.random.default_rng(1).integers(0, 2**63, 60, dtype=np.uint64).tolist()
    captions = ["image not available"] * 30 + [f"{n} words of {n}" for n in range(30)]
    assert len(set(group_numbers(captions, index, hashes))) == 60


def test_captions_of_emoji_link_no_memes(group_numbers):
    assert group_numbers(["\U0001f525\U0001f917", "\U0001f525\U0001f917", "???"], [0, 1, 2]) == [
        0,
        1,
        2,
    ]
