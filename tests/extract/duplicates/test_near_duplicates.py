"""Near-duplicates meet in one group, and nothing else does."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from extract.data.image_decoding import Pictures, decode_pictures
from extract.duplicates.near_duplicates import group_memes, near_captions, normalise_caption

# Every two of these are 16 bits or more apart.
HASHES = [0x00000000FFFFFFFF, 0xFFFFFFFF00000000, 0x0F0F0F0F0F0F0F0F, 0xAAAAAAAAAAAAAAAA]


def pictures_of(index, hashes=None):
    count = max(index) + 1
    hashes = np.array(hashes or HASHES[:count], dtype=np.uint64)
    return Pictures(
        np.zeros((count, 3, 1, 1), np.uint8), hashes, [f"{n}" for n in range(count)], index
    )


@pytest.fixture
def grouped(make_table):
    """f(captions, picture of each row) -> group numbers"""

    def group(captions, index, hashes=None):
        table = make_table([str(place) for place in index], captions)
        return group_memes(table, pictures_of(np.array(index), hashes)).tolist()

    return group


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((120, 120), Image.Resampling.BICUBIC)


def test_the_same_caption_links_two_pictures(grouped):
    assert grouped(["one", "one", "two"], [0, 1, 2]) == [0, 0, 1]


def test_the_same_picture_links_two_captions(grouped):
    assert grouped(["one", "two", "three"], [0, 1, 0]) == [0, 1, 0]


@pytest.mark.parametrize(
    "twin",
    ["GOOD MORNING!", "good, morning", "  good\n morning... ", "“Good—morning”", "good_morning"],
)
def test_case_punctuation_and_spaces_hide_no_repeat(grouped, twin):
    assert grouped(["Good morning", twin, "good mourning"], [0, 1, 2]) == [0, 0, 1]


# Five words are four pairs: three in common of five in all are 0.6, and two of four are 0.5.
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
def test_captions_that_share_six_tenths_of_their_word_pairs_are_linked(grouped, one, other, linked):
    assert grouped([one, other, "x y z"], [0, 1, 2]) == ([0, 0, 1] if linked else [0, 1, 2])


def test_near_captions_are_found_across_blocks():
    captions = [f"caption number {n} of many" for n in range(9)]
    captions += ["caption number 2 of many more", "", "word"]
    for block in (1, 4, 100):
        assert near_captions(captions, block).T.tolist() == [[2, 9]]


def test_captions_without_two_words_are_no_stumbling_block():
    assert near_captions(["", "word"]).shape == (2, 0)


def test_accents_typed_in_two_ways_are_one_caption():
    assert normalise_caption("caf\u00e9 time") == normalise_caption("cafe\u0301 time")


def test_captions_in_other_scripts_stay_apart(grouped):
    assert grouped(["доброе утро", "早上好", "काल", "कील"], [0, 1, 2, 3]) == [0, 1, 2, 3]


def test_a_chain_of_captions_and_pictures_is_one_group(grouped):
    captions = ["one", "one", "two", "three", "two"]
    assert grouped(captions, [0, 1, 1, 2, 3]) == [0, 0, 0, 1, 0]


def test_pictures_eight_bits_apart_are_linked_and_nine_are_not(grouped):
    hashes = [0, 0xFF, 0x1FF << 32, 0xFFFF << 40]
    assert grouped(list("abcd"), [0, 1, 2, 3], hashes) == [0, 0, 1, 2]


def test_pairs_are_found_across_blocks(grouped):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 1300, dtype=np.uint64)
    hashes[1299] = hashes[3] ^ np.uint64(1)
    found = grouped([f"caption {n}" for n in range(1300)], list(range(1300)), hashes.tolist())
    assert found[1299] == found[3]
    assert len(set(found)) == 1299


def test_what_could_not_be_read_links_nothing(make_table):
    table = make_table(["", "", "x"], ["", "?!", ""])
    pictures = Pictures(
        np.zeros((2, 3, 1, 1), np.uint8),
        np.array([0, 0], np.uint64),
        ["", "digest of x"],
        np.array([0, 0, 1]),
    )
    assert group_memes(table, pictures).tolist() == [0, 1, 2]


def test_two_broken_files_are_no_near_duplicates(make_table, tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"two")
    table = make_table([tmp_path / "a.png", tmp_path / "b.png"], ["one", "two"])
    pictures, _ = decode_pictures(table, 32, "bicubic")
    assert group_memes(table, pictures).tolist() == [0, 1]


def test_copies_of_a_picture_are_found_and_other_pictures_are_not(make_table, tmp_path):
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
    assert group_memes(table, pictures).tolist() == [0, 0, 0, 0, 0, 1, 2]
