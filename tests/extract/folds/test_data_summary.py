"""Data summary: counts of rows, classes, captions, near-duplicates and contradictions."""

import numpy as np
import pytest

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.load_data import LoadedData
from extract.data.tokenisation import Captions
from extract.folds.data_summary import contradictions, near_duplicate_table, summarise_data
from extract.folds.near_captions import CAPTION_OVERLAP
from extract.folds.near_pictures import HASH_RADIUS
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
def loaded(make_table):
    _, split, _, picture, caption, _ = map(list, zip(*MEMES, strict=True))
    distinct = list(dict.fromkeys(caption))
    tokens = [np.arange(2 + number) for number in range(len(distinct))]
    index = np.array([distinct.index(text) for text in caption])
    digests = [f"digest {n}" for n in range(5)]
    pictures = Pictures(None, None, digests, np.array(picture))
    table = make_table(picture, caption, split)
    return LoadedData(table, Inputs(pictures, Captions(tokens, index, 0, 0)), ["a remark"])


@pytest.fixture
def rows():
    key, split, label, _, _, group = zip(*MEMES, strict=True)
    return Rows(
        np.array(key, object), np.array(split, object), np.array(label), np.array(group), None, None
    )


def test_rows_and_classes_are_counted_per_split(loaded, rows):
    assert summarise_data(loaded, rows)["splits"] == {
        "train": {"rows": 4, "positive": 3, "negative": 1},
        "val": {"rows": 3, "positive": 1, "negative": 2},
        # The label of i is unknown, so i is in neither class.
        "test": {"rows": 3, "positive": 1, "negative": 1},
    }


def test_distinct_pictures_and_captions_are_counted_and_remarks_included(loaded, rows):
    summary = summarise_data(loaded, rows)
    assert (summary["pictures"], summary["captions"]) == (5, 6)
    assert summary["remarks"] == ["a remark"]


def test_caption_length_percentiles_count_every_row(loaded, rows):
    # Lengths of the rows: 2, 3, 4, 5, 6, 6, 6, 6, 7, 7; of the distinct captions: 2 to 7.
    assert summarise_data(loaded, rows)["caption_tokens"] == {
        "p5": 3,
        "p50": 6,
        "p95": 7,
        "p100": 7,
    }


def test_near_duplicates_are_counted(loaded, rows):
    assert summarise_data(loaded, rows)["near_duplicates"] == {
        "hash_radius": HASH_RADIUS,
        "caption_overlap": CAPTION_OVERLAP,
        "groups": 4,
        "groups_shared": 3,
        "rows_sharing": 9,
        "largest": 4,
        # Only g: i and j are near-duplicates of each other, not of labelled rows.
        "test_rows_near_labelled": 1,
    }


def test_near_duplicate_table_is_sorted_by_group(rows):
    listed = near_duplicate_table(rows)
    assert list(listed) == ["group", "id", "split", "label"]
    assert "".join(listed["id"]) == "abcefghij"
    assert listed["group"].tolist() == [0, 0, 0, 2, 2, 2, 2, 3, 3]


def test_contradiction_has_the_same_picture_and_caption_and_both_labels(loaded, rows):
    # c has a different caption, h a different picture, and g is a test row.
    assert contradictions(loaded.table, loaded.inputs.pictures, rows) == [["a", "b"]]


def test_equal_labels_and_test_labels_are_no_contradiction(loaded, rows):
    rows.label[[0, 6]] = [1, 0]
    assert contradictions(loaded.table, loaded.inputs.pictures, rows) == []
