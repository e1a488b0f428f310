"""Rarer forms of data: each is read as it is meant, or refused with one message that helps."""

import json
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from written_memes import (
    MEMES,
    SPLITS,
    check,
    error,
    follow,
    read,
    rewrite,
    rows_of,
    save_picture,
    write_csv,
    write_standard,
)

from extract.tables.read_memes import read_memes

LABELS = [meme["label"] for meme in MEMES]


def relabel(folder, words, splits=SPLITS):
    """Write words[0] and words[1] for the labels."""
    named = dict(zip("01", words, strict=True))
    return rewrite(folder, lambda f, _: f.assign(label=f["label"].map(named)), splits)


def write_json(folder, written):
    """Write train.json and so on: written(frame) -> text."""
    write_standard(folder)
    for split in SPLITS:
        table = folder / f"{split}.csv"
        frame = pd.read_csv(table, dtype={"id": str})
        table.unlink()
        (folder / f"{split}.json").write_text(written(frame), encoding="utf-8")
    return folder


# Labels


@pytest.mark.parametrize(
    "words",
    [
        ("nontroll", "troll"),
        ("notbully", "bully"),
        ("n", "y"),
        ("F", "T"),
        ("0.33", "0.67"),
        ("none", "sexist"),
    ],
)
def test_advised_values_are_the_hateful_ones_although_they_are_not_the_rarer(tmp_path, words):
    relabel(write_standard(tmp_path), words)
    with (tmp_path / "train.csv").open("a") as file:
        file.writelines(f"1{n},img/001.png,words of,{words[1]}\n" for n in range(3))
    rows = follow(error(tmp_path), tmp_path, "positive")
    assert [label for label in rows["label"] if label >= 0].count(1) == sum(LABELS) + 3


def test_shares_above_a_half_and_not_all_above_zero_are_advised(tmp_path):
    relabel(write_standard(tmp_path), ("0.0", "1.0"))

    def change(frame, split):
        return frame.assign(label=["0.0", "0.33", "0.67", "1.0", "0.33", "0.67"][: len(frame)])

    rewrite(tmp_path, change)
    assert '"0.67' in error(tmp_path) and "0.33," not in error(tmp_path).partition("--positive")[2]
    assert follow(error(tmp_path), tmp_path, "positive")["label"].tolist()[:6] == [0, 0, 1, 1, 0, 1]


def test_decimal_commas_of_labels(tmp_path):
    rows, _ = read(relabel(write_standard(tmp_path), ("0,0", "1,0")))
    assert rows["label"].tolist() == LABELS


def test_words_and_numbers_mixed_do_not_make_0_hateful(tmp_path):
    relabel(write_standard(tmp_path), ("not_hateful", "hateful"), ["train"])
    assert follow(error(tmp_path), tmp_path, "positive")["label"].tolist() == LABELS


@pytest.mark.parametrize("hidden", ["?", "hidden", "unknown", "N/A"])
@pytest.mark.parametrize("words", [("0", "1"), ("none", "hate")])
def test_word_in_every_test_row_is_an_unknown_label_and_not_a_negative_one(tmp_path, words, hidden):
    relabel(write_standard(tmp_path), words, ["train", "val"])
    rewrite(tmp_path, lambda frame, _: frame.assign(label=hidden), ["test"])
    rows, _ = read(tmp_path, positive=words[1])
    assert rows["label"].tolist() == [*LABELS[:8], -1, -1, -1]


def test_test_labels_that_train_does_not_have_are_named_with_all_hateful_ones(tmp_path):
    relabel(write_standard(tmp_path), ("not_hateful", "hateful"), ["train", "val"])
    message = error(tmp_path, positive="hateful")
    assert 'test.csv: column label holds "0" (2), "1" (1), none of which train has' in message
    assert follow(message, tmp_path, "positive")["label"].tolist() == LABELS


def test_unknown_train_labels_can_be_left_out(tmp_path):
    def change(frame, split):
        return frame.assign(label=["-1", *frame["label"][1:]])

    rewrite(write_standard(tmp_path), change, ["train"])
    assert "--on-bad-rows blank" in error(tmp_path)
    assert read(tmp_path, on_bad_rows="blank")[0]["label"].tolist() == LABELS[1:]


@pytest.mark.parametrize(("no", "yes"), [([1, 0, 0], [0, 4, 3]), ("[1, 0, 0]", "[0, 1, 1]")])
@pytest.mark.parametrize("positive", [None, "1,3,4"])
def test_votes_of_annotators_are_refused_and_the_first_is_not_taken(tmp_path, no, yes, positive):
    def written(frame):
        votes = [yes if label else no for label in frame["label"]]
        return frame.assign(label=votes).to_json(orient="records")

    message = error(write_json(tmp_path, written), positive=positive)
    assert 'column label holds several labels a row, such as "1", "0", "0"' in message


@pytest.mark.parametrize("also", ["hateful_meme", "likes"])
def test_column_that_says_the_opposite_is_not_advised_as_the_label(tmp_path, also):
    def change(frame, split):
        opposite = 1 - frame["label"].astype(int)
        return frame.rename(columns={"label": also}).assign(not_hateful=opposite)

    message = error(rewrite(write_standard(tmp_path), change))
    assert "--label-column not_hateful --positive 0,false" in message
    assert "with --label-column not_hateful" not in message
    rows = read(tmp_path, label_column="not_hateful", positive="0,false")[0]
    assert rows["label"].tolist() == LABELS


def test_of_two_label_columns_the_one_with_labels_is_advised(tmp_path):
    def written(frame):
        targets = [["women"] if label else [] for label in frame["label"]]
        frame = frame.rename(columns={"label": "hateful"})
        frame.insert(0, "target", targets)
        return frame.to_json(orient="records")

    check(follow(error(write_json(tmp_path, written)), tmp_path, "label_column"))


def test_none_beside_two_other_classes_is_an_absent_label(tmp_path):
    def change(frame, split):
        return frame.assign(label=["None", *frame["label"].map({"0": "no", "1": "yes"})[1:]])

    rewrite(write_standard(tmp_path), change, ["train"])
    assert 'found "None"' in error(tmp_path, positive="yes")


# Captions


@pytest.mark.parametrize("cell", ["txt/{}.txt", "{}.png"])
def test_names_of_files_are_no_captions(tmp_path, cell):
    def change(frame, split):
        return frame.assign(text=[cell.format(name) for name in frame["id"]])

    message = error(rewrite(write_standard(tmp_path), change))
    assert f'column text holds names of files, such as "{cell.format("009")}"' in message


# JSON


@pytest.mark.parametrize(
    "written",
    [
        lambda frame: frame.to_json(orient="split"),
        lambda frame: frame.to_json(orient="table"),
        lambda frame: json.dumps(
            {"version": 1, "info": {"a": 2}, "data": frame.to_dict("records")}
        ),
        lambda frame: json.dumps({"result": {"count": 3, "memes": frame.to_dict("records")}}),
        lambda frame: "\ufeff" + ",\n\n".join(map(json.dumps, frame.to_dict("records"))) + ",\n",
    ],
    ids=["split", "table", "with info", "deeper", "lines with commas"],
)
def test_forms_of_json(tmp_path, written):
    rows, _ = read(write_json(tmp_path, written))
    check(rows)
    assert rows["label"].tolist() == LABELS


def test_lists_of_several_splits_in_one_json_file(tmp_path):
    write_standard(tmp_path)
    lists = {}
    for split, name in zip(SPLITS, ("train", "dev_seen", "test_split"), strict=True):
        table = tmp_path / f"{split}.csv"
        lists[name] = pd.read_csv(table, dtype={"id": str}).to_dict("records")
        table.unlink()
    (tmp_path / "memes.json").write_text(json.dumps(lists))
    check(read(tmp_path)[0])
    lists["categories"] = [{"id": 0, "name": "hate"}]
    (tmp_path / "memes.json").write_text(json.dumps(lists))
    assert 'several lists of objects: "train", "dev_seen", "test_split", "categ' in error(tmp_path)


def test_rows_that_are_all_bad_are_not_called_a_missing_table(tmp_path):
    write_json(tmp_path, lambda f: f.assign(text=[["a"]] * len(f)).to_json(orient="records"))
    message = error(tmp_path)
    assert "no train row in" in message and "found a list or an object" in message
    assert "Name the table" not in message


# CSV and TSV


def test_table_with_bars_between_fields(tmp_path):
    check(read(rewrite(write_standard(tmp_path), lambda frame, _: frame, sep="|"))[0])


@pytest.mark.parametrize("first", ["# exported in 2024", "Memes of 2024,,,"])
def test_line_above_the_header_is_to_be_removed(tmp_path, first):
    write_standard(tmp_path)
    for split in SPLITS:
        table = tmp_path / f"{split}.csv"
        table.write_text(f"{first}\n{table.read_text()}")
    message = error(tmp_path)
    assert "is not a header" in message and "emove it" in message and len(message) < 160


def with_stray_quotes(folder, suffix, separator):
    """Open a quote in the captions of rows 0, 3, ... and close it in those after them."""
    write_standard(folder)
    for split in SPLITS:
        lines = [separator.join(("id", "img", "text", "label"))]
        for n, meme in enumerate(rows_of(split)):
            text = '"' * (n % 3 == 0) + meme["text"] + '"' * (n % 3 == 1)
            cells = (meme["name"], f"img/{meme['name']}.png", text, str(meme["label"]))
            lines.append(separator.join(cells))
        (folder / f"{split}.csv").unlink()
        (folder / f"{split}.{suffix}").write_text("\n".join(lines))
    return folder


def test_stray_quotes_between_tabs_are_letters_and_join_no_rows(tmp_path):
    rows, _ = read(with_stray_quotes(tmp_path, "tsv", "\t"))
    assert rows["id"].tolist() == [meme["name"] for meme in MEMES]
    assert rows["label"].tolist() == LABELS
    assert rows["caption"].iloc[0] == '"words of train 1'


def test_rows_that_stray_quotes_join_are_bad_rows_and_captions_of_two_lines_are_not(tmp_path):
    with_stray_quotes(tmp_path / "joined", "csv", ",")
    rewrite(write_standard(tmp_path / "lines"), lambda f, _: f.assign(text=f["text"] + "\na, b, 7"))
    (tmp_path / "joined" / "val.csv").unlink()
    message = error(tmp_path / "joined")
    assert "train.csv:2: a quote opens in this row" in message and "read up to line 3" in message
    assert read(tmp_path / "lines")[0]["caption"].iloc[0] == "words of train 1\na, b, 7"


# Pictures


@pytest.mark.parametrize(
    "folders",
    [
        ("images/train", "images/val", "images/test"),
        ("Training Images", "Dev Images", "Test Images"),
        ("TRAIN/img", "VAL/img", "TEST/img"),
    ],
)
def test_pictures_of_one_name_are_told_apart_by_the_folder_of_their_split(tmp_path, folders):
    for split, folder in zip(SPLITS, folders, strict=True):
        rows = [
            {"id": n, "img": f"{n}.png", "text": meme["text"], "label": meme["label"]}
            for n, meme in enumerate(rows_of(split))
        ]
        write_csv(tmp_path / f"{split}.csv", rows)
        for row in rows:
            save_picture(tmp_path / folder / row["img"])
    rows, _ = read(tmp_path)
    check(rows)
    of_split = dict(zip(SPLITS, folders, strict=True))
    assert all(of_split[s] in path for s, path in zip(rows["split"], rows["image"], strict=True))
    (tmp_path / folders[0] / "5.png").rename(tmp_path / folders[2] / "5.png")
    assert f'is only in the folder of another split: "{folders[2]}/5.png"' in error(tmp_path)


def test_rows_to_divide_may_have_pictures_in_folders_of_any_split(tmp_path):
    write_csv(tmp_path / "memes.csv", [{"id": m["name"], **m} for m in MEMES])
    rewritten = pd.read_csv(tmp_path / "memes.csv", dtype=str).drop(columns=["split", "name"])
    rewritten.to_csv(tmp_path / "memes.csv", index=False)
    for meme in MEMES:
        save_picture(tmp_path / "img" / meme["split"] / f"{meme['name']}.png")
    rows, _ = read(tmp_path, split="0.7,0.1,0.2")
    assert [Path(path).stem for path in rows["image"]] == [meme["name"] for meme in MEMES]


def test_two_pictures_that_differ_in_their_suffix_are_not_guessed(tmp_path):
    write_standard(tmp_path, image=lambda meme: meme["name"])
    save_picture(tmp_path / "img" / "001.jpg")
    assert '2 images are called "001": "img/001.jpg", "img/001.png"' in error(tmp_path)


def test_names_with_accents_as_macos_stores_them(tmp_path):
    write_standard(tmp_path, image=lambda meme: f"img/mème {meme['name']}.png", pictures=None)
    for meme in MEMES:
        name = unicodedata.normalize("NFD", f"mème {meme['name']}.png")
        save_picture(tmp_path / "img" / name)
    check(read(tmp_path)[0])


# Files


def test_words_in_names_of_folders_name_the_split(tmp_path):
    for split, folder in zip(SPLITS, ("Training Set", "validation_data", "Test Set"), strict=True):
        rows = [
            {"image": f"{m['name']}.png", "text": m["text"], "label": m["label"]}
            for m in rows_of(split)
        ]
        write_csv(tmp_path / folder / "annotations.csv", rows)
        for row in rows:
            save_picture(tmp_path / folder / "Images" / row["image"])
    check(read(tmp_path)[0])


def test_table_of_a_missing_split_in_a_subfolder_is_named(tmp_path):
    write_standard(tmp_path)
    (tmp_path / "unseen").mkdir()
    (tmp_path / "test.csv").rename(tmp_path / "unseen" / "test.csv")
    assert 'found "train.csv", "val.csv", "unseen/test.csv"' in error(tmp_path)
    check(read(tmp_path, test="unseen/test.csv")[0])


@pytest.mark.parametrize("name", ["Sample-Submission", "submission_example", "sampleSubmission"])
def test_other_names_of_sample_submissions(tmp_path, name):
    write_standard(tmp_path)
    write_csv(tmp_path / f"{name}.csv", [{"Id": m["name"], "Class": 0} for m in rows_of("test")])
    assert read_memes(tmp_path)[0].submission_columns == ["Id", "Class"]


@pytest.mark.parametrize("written", ["{:03d}", "{}.0"])
def test_ids_that_equal_those_of_the_submission_as_numbers_are_written_as_there(tmp_path, written):
    def change(frame, split):
        return frame.assign(id=[written.format(int(one)) for one in frame["id"]])

    rewrite(write_standard(tmp_path), change)
    asked = [{"id": int(meme["name"]), "label": 0} for meme in rows_of("test")][::-1]
    write_csv(tmp_path / "sample_submission.csv", asked)
    table, problems, notes = read_memes(tmp_path)
    assert not problems and "3 test ids are spelt as in sample_submission.csv" in " ".join(notes)
    test = table.rows[table.rows["split"] == "test"]
    assert test.sort_values("order")["id"].tolist() == ["11", "10", "9"]
    assert test["caption"].tolist() == [meme["text"] for meme in rows_of("test")]
