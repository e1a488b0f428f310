"""Reviewed memes of these data, of other data, unknown ones, and reviewers who disagree."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_read_memes import TEST, TRAIN, write_files, write_picture

from extract.config import ExtractConfig
from extract.data.decided_rows import train_on_decisions
from extract.data.image_decoding import decode_pictures
from extract.data.load_data import without_captions
from extract.folds.random_split import divide_rows
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from runtime.errors import UserError

SUBMISSION = "id,label\n8,0\n7,0\n"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return write_files(
        folder, train_csv=TRAIN, test_csv=TEST, sample_submission_csv=SUBMISSION
    ).resolve()


@pytest.fixture
def read(tmp_path, data):
    """f(*reviews, **options) -> rows as [id, split, label, order], notes on reviews, loaded data.

    A review is (id, decision), or (id, decision, reviewer), or with caption and image as well.
    """

    def read(*reviews, **options):
        names = "id", "decision", "reviewer", "caption", "image"
        lines = [
            {"reviewer": "Ada", "time": f"2025-01-02T{minute // 60:02}:{minute % 60:02}:00+00:00"}
            | dict(zip(names, map(str, review), strict=False))
            for minute, review in enumerate(reviews)
        ]
        path = tmp_path / "review.jsonl"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        options = table_options(ExtractConfig(add=[str(path)], **options))
        table, problems, notes = read_memes(data, options)
        pictures, broken = decode_pictures(table, 8, "bilinear")
        table, positions = resolve_bad_rows(table, problems + broken, "blank")
        loaded = without_captions(table, replace(pictures, index=pictures.index[positions]))
        if options.shares:
            loaded = divide_rows(loaded, options.shares, 0)
        loaded = train_on_decisions(loaded)
        return SimpleNamespace(
            rows=loaded.table.rows[["id", "split", "label", "order"]].values.tolist(),
            notes=[note for note in notes if note.startswith("--add")],
            loaded=loaded,
        )

    return read


AS_BEFORE = [
    ["1", "train", 0, -1], ["2", "train", 1, -1], ["7", "test", -1, 1], ["8", "test", -1, 0],
]  # fmt: skip


def test_reviewed_test_rows_are_train_rows_too_and_solution_csv_keeps_its_rows(read, data):
    found = read(("8", "hateful"), ("7", "not", "Ada", "seven", data / "img/a.png"))
    added = [["7", "train", 0, -1], ["8", "train", 1, -1]]
    assert found.rows == [*AS_BEFORE[:2], *added, *AS_BEFORE[2:]]
    rows = found.loaded.table.rows
    assert rows["caption"].tolist() == ["one", "two", "seven", "eight", "seven", "eight"]
    assert "2 of these data, 0 others" in found.notes[0] and "harder" in found.notes[0]
    assert len(found.loaded.inputs.pictures.index) == 6


def test_reviewed_test_rows_with_a_label_are_not_scored_as_test_rows(read, data):
    labelled = "id,img,text,label\n7,img/a.png,seven,1\n8,img/b.png,eight,0\n"
    (data / "test.csv").write_text(labelled)
    found = read(("7", "not"))
    assert ["7", "test", -1, 1] in found.rows and ["7", "train", 0, -1] in found.rows
    assert ["8", "test", 0, 0] in found.rows
    assert 'with another label in the table: "7"' in found.notes[1]


def test_reviewers_who_disagree_are_named_and_the_last_counts(read):
    found = read(("7", "not", "Ada"), ("8", "not", "Ada"), ("7", "hateful", "Ben"))
    assert ["7", "train", 1, -1] in found.rows
    assert found.notes[1] == (
        '--add: reviewers disagree, and the last decision is used: "7" (Ada: not hateful, Ben: '
        "hateful)."
    )


def test_unknown_ids_and_lost_pictures_are_named_and_not_trained_on(read, data):
    found = read(("7", "not"), ("99", "not"), ("98", "not", "Ada", "words", data / "gone.png"))
    assert len(found.rows) == 5
    assert 'the data have no such id: "99"' in found.notes[1]
    assert 'their pictures are gone: "98"; the first was ' in found.notes[2]


def test_memes_of_other_data_are_added_with_the_picture_that_was_reviewed(read, tmp_path):
    write_picture(tmp_path / "other/x.png")
    found = read(("7", "hateful", "Ada", "another seven", tmp_path / "other/x.png"))
    assert found.rows == [*AS_BEFORE[:2], ["7", "train", 1, -1], *AS_BEFORE[2:]]
    added = found.loaded.table.rows.iloc[2]
    assert (added["caption"], added["image"]) == ("another seven", str(tmp_path / "other/x.png"))
    assert "0 of these data, 1 others" in found.notes[0]


def test_an_id_alone_means_the_test_row_and_with_its_content_any_row(read, data):
    (data / "test.csv").write_text("id,img,text\n1,img/a.png,seven\n8,img/b.png,eight\n")
    (data / "sample_submission.csv").unlink()
    assert ["1", "train", 1, -1] in read(("1", "hateful")).rows
    found = read(("1", "hateful", "Ada", "one", data / "img/a.png"))
    assert [row for row in found.rows if row[0] == "1"] == [
        ["1", "train", 1, -1],
        ["1", "test", -1, 0],
    ]


def test_a_reviewed_test_row_whose_picture_is_broken_is_not_trained_on(read, data):
    (data / "img/a.png").write_text("broken")
    assert ["7", "train", 0, -1] not in read(("7", "not"), ("8", "not")).rows


def test_if_no_decision_can_be_used_the_data_are_others(read):
    with pytest.raises(UserError, match=r'no reviewed meme is in the data.*found the ids "99"'):
        read(("99", "not"))
    skipped = read(("7", "skip"))
    assert skipped.rows == AS_BEFORE and "no decision to train on" in skipped.notes[0]


def test_with_shares_decided_memes_are_trained_on_wherever_they_are(read, data, tmp_path):
    rows = [f"{n},,caption {n} is like {n * 17} and {n * 31},{n % 2}" for n in range(60)]
    (data / "sample_submission.csv").unlink()
    (data / "test.csv").unlink()
    (data / "train.csv").write_text("\n".join(["id,img,text,label", *rows]))
    before = read(("0", "skip"), split="0.5,0.2,0.3").rows
    flipped = [(name, "not" if label else "hateful") for name, _, label, _ in before]
    found = read(*flipped, ("x", "hateful", "Ada", "other words", ""), split="0.5,0.2,0.3").rows
    assert ["x", "train", 1, -1] in found
    labels = {name: label for name, _, label, _ in before}
    trained = {name: label for name, split, label, _ in found if split != "test" and name != "x"}
    assert trained == {name: 1 - label for name, label in labels.items()}
    assert {label for _, split, label, _ in found if split == "test"} == {-1}
