"""What is said of the data is counted, not guessed."""

import numpy as np
import pytest

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.load_data import Prepared
from extract.data.tokenisation import Captions
from extract.duplicates.data_summary import contradictions, near_duplicates, summarise_data
from extract.duplicates.near_duplicates import CAPTION_OVERLAP, HASH_RADIUS
from features.feature_table import Rows

# id, split, label, picture, caption, group
MEMES = [
    ("a", "train", 0, 0, "Good morning", 0),
    ("b", "train", 1, 0, "good morning!", 0),
    ("c", "train", 1, 0, "good evening", 0),
    ("d", "val", 0, 1, "alone", 1),
    ("e", "train", 1, 2, "twice", 2),
    ("f", "val", 1, 2, "twice", 2),
    ("g", "test", 0, 2, "twice", 2),
    ("h", "val", 0, 3, "twice", 2),
    ("i", "test", -1, 4, "new", 3),
    ("j", "test", 1, 4, "new", 3),
]


@pytest.fixture
def prepared(make_table):
    _, split, _, picture, caption, _ = map(list, zip(*MEMES, strict=True))
    distinct = list(dict.fromkeys(caption))
    tokens = [np.arange(2 + place) for place in range(len(distinct))]
    index = np.array([distinct.index(text) for text in caption])
    pictures = Pictures(None, None, [f"digest {n}" for n in range(5)], np.array(picture))
    table = make_table(picture, caption, split)
    return Prepared(table, Inputs(pictures, Captions(tokens, index, 0, 0)), ["a remark"])


@pytest.fixture
def rows():
    key, split, label, _, _, group = zip(*MEMES, strict=True)
    return Rows(
        np.array(key, object), np.array(split, object), np.array(label), np.array(group), None, None
    )


def test_rows_and_classes_are_counted_by_split(prepared, rows):
    assert summarise_data(prepared, rows)["splits"] == {
        "train": {"rows": 4, "positive": 3, "negative": 1},
        "val": {"rows": 3, "positive": 1, "negative": 2},
        # The label of i is unknown: it is in neither class.
        "test": {"rows": 3, "positive": 1, "negative": 1},
    }


def test_distinct_pictures_and_captions_are_counted_and_remarks_passed_on(prepared, rows):
    facts = summarise_data(prepared, rows)
    assert (facts["pictures"], facts["captions"]) == (5, 6)
    assert facts["remarks"] == ["a remark"]


def test_caption_lengths_are_those_of_rows_and_not_of_distinct_captions(prepared, rows):
    # Of rows 2, 3, 4, 5, 6, 6, 6, 6, 7, 7; of distinct captions 2 to 7.
    assert summarise_data(prepared, rows)["caption_tokens"] == {
        "p5": 3,
        "p50": 6,
        "p95": 7,
        "p100": 7,
    }


def test_near_duplicates_are_counted_down_to_test_rows_near_labelled_ones(prepared, rows):
    assert summarise_data(prepared, rows)["near_duplicates"] == {
        "hash_radius": HASH_RADIUS,
        "caption_overlap": CAPTION_OVERLAP,
        "groups": 4,
        "groups_shared": 3,
        "rows_sharing": 9,
        "largest": 4,
        # g; i and j are near each other only.
        "test_rows_near_labelled": 1,
    }


def test_near_duplicates_are_listed_group_by_group(rows):
    listed = near_duplicates(rows)
    assert list(listed) == ["group", "id", "split", "label"]
    assert "".join(listed["id"]) == "abcefghij"
    assert listed["group"].tolist() == [0, 0, 0, 2, 2, 2, 2, 3, 3]


def test_a_contradiction_is_one_picture_and_one_caption_with_both_labels(prepared, rows):
    # c has another caption, h another picture, and g is a test row.
    assert contradictions(prepared.table, prepared.inputs.pictures, rows) == [["a", "b"]]


def test_equal_labels_and_labels_of_test_rows_contradict_nothing(prepared, rows):
    rows.label[[0, 6]] = [1, 0]
    assert contradictions(prepared.table, prepared.inputs.pictures, rows) == []
