"""Data sets as they are published or exported are read as they lie, or refused with what helps."""

import json
from pathlib import Path

import pandas as pd
import polars
import pytest
from written_memes import (
    MEMES,
    SPLITS,
    check,
    error,
    read,
    rows_of,
    save_picture,
    write_csv,
    write_standard,
)

from extract.tables.read_memes import read_memes

# Published layouts


def test_harmeme_has_lists_of_labels_and_captions_called_null(tmp_path):
    for split in SPLITS:
        lines = [
            {
                "id": f"covid_memes_{m['name']}",
                "image": f"covid_memes_{m['name']}.png",
                "labels": ["very harmful", "individual"] if m["label"] else ["not harmful"],
                "text": "null" if m["name"] == "003" else m["text"],
            }
            for m in rows_of(split)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"{split}.jsonl").write_text(text)
        for line in lines:
            save_picture(tmp_path / "images" / line["image"])
    message = error(tmp_path)
    assert '"not harmful" (4), "very harmful" (4)' in message
    assert '--positive "very harmful"' in message
    rows, notes = read(tmp_path, positive="very harmful")
    assert "1 of 11 rows have no caption" in notes
    assert rows["caption"].tolist().count("") == 1
    check(rows.assign(caption=MEMES[0]["text"]))


def test_multioff_has_tables_and_pictures_in_folders_and_labels_in_words(tmp_path):
    names = {"train": "Training", "val": "Validation", "test": "Testing"}
    for split, name in names.items():
        rows = [
            {
                "image_name": f"{m['name']}.png",
                "sentence": m["text"],
                "label": "offensive" if m["label"] else "Non-offensiv",
            }
            for m in rows_of(split)
        ]
        write_csv(tmp_path / "Split Dataset" / f"{name}_meme_dataset.csv", rows)
    for meme in MEMES:
        save_picture(tmp_path / "Labelled Images" / f"{meme['name']}.png")
    assert '--positive "offensive"' in error(tmp_path)
    check(read(tmp_path, positive="offensive")[0])


def test_mami_has_a_table_beside_the_pictures_of_each_split(tmp_path):
    for folder, name, split in (("TRAINING", "training", "train"), ("test", "Test", "test")):
        rows = [
            {"file_name": f"{m['name']}.png", "misogynous": m["label"], "shaming": 0}
            | {"Text Transcription": m["text"]}
            for m in rows_of(split)
        ]
        if split == "test":
            rows = [{k: r[k] for k in ("file_name", "Text Transcription")} for r in rows]
        write_csv(tmp_path / folder / f"{name}.csv", rows, sep="\t")
        for m in rows_of(split):
            save_picture(tmp_path / folder / f"{m['name']}.png")
    rows, _ = read(tmp_path)
    check(rows, {"train": 6, "test": 3})
    assert "/TRAINING/" in rows["image"].iloc[0] and "/test/" in rows["image"].iloc[-1]


@pytest.mark.parametrize("as_array", [True, False])
def test_fine_grained_hateful_memes_are_json_in_json_files(tmp_path, as_array):
    for split, name in zip(SPLITS, ("train", "dev_seen", "test_seen"), strict=True):
        lines = [
            {"id": int(m["name"]), "img": f"img/{m['name']}.png", "text": m["text"]}
            | {"gold_hate": ["hateful"] if m["label"] else ["not_hateful"]}
            for m in rows_of(split)
        ]
        text = json.dumps(lines) if as_array else "\n".join(map(json.dumps, lines))
        (tmp_path / f"{name}.json").write_text(text)
    for meme in MEMES:
        save_picture(tmp_path / "img" / f"{meme['name']}.png")
    check(read(tmp_path, positive="hateful")[0])


def test_one_table_without_splits_names_the_flag_that_divides_it(tmp_path):
    rows = [
        {"image_name": f"{m['name']}.png", "text": m["text"], "label": m["label"]} for m in MEMES
    ]
    write_csv(tmp_path / "labels.csv", rows)
    for meme in MEMES:
        save_picture(tmp_path / "images" / f"{meme['name']}.png")
    assert "--split 0.7,0.1,0.2" in error(tmp_path)
    assert read(tmp_path, split="0.7,0.1,0.2")[0]["split"].tolist() == ["train"] * 11


def test_parquet_is_read(tmp_path):
    write_standard(tmp_path)
    for split in SPLITS:
        frame = pd.read_csv(tmp_path / f"{split}.csv", dtype={"id": str})
        (tmp_path / f"{split}.csv").unlink()
        polars.DataFrame(frame.to_dict("list")).write_parquet(tmp_path / f"{split}.parquet")
    rows, _ = read(tmp_path)
    check(rows)
    assert rows["id"].tolist() == [meme["name"] for meme in MEMES]


def test_data_one_folder_deeper(tmp_path):
    write_standard(tmp_path / "data")
    check(read(tmp_path)[0])


def test_named_tables_and_image_folder(tmp_path):
    write_standard(tmp_path, image=lambda m: f"{m['name']}.png", pictures="far/away")
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"{split}.csv").rename(tmp_path / f"{name}.csv")
    message = error(tmp_path)
    assert '"a.csv", "b.csv", "c.csv"' in message and "--train FILE" in message
    flags = {"train": "a.csv", "val": str(tmp_path / "b.csv"), "test": "c.csv"}
    check(read(tmp_path, **flags, image_folder="far/away")[0])
    assert "there is no file d.csv" in error(tmp_path, train="d.csv", test="c.csv")
    assert "there is no folder near" in error(tmp_path, **flags, image_folder="near")


def test_tables_of_other_splits_are_found_by_name(tmp_path):
    write_standard(tmp_path)
    (tmp_path / "test.csv").rename(tmp_path / "unseen.csv")
    (tmp_path / "train.csv").rename(tmp_path / "train_a.csv")
    (tmp_path / "train_b.csv").write_bytes((tmp_path / "train_a.csv").read_bytes())
    assert "ambiguous" in error(tmp_path) and "--train train_a.csv" in error(tmp_path)
    rows, notes = read(tmp_path, train="train_a.csv", test="unseen.csv")
    check(rows)
    assert "Not read: train_b.csv." in notes


def test_label_words_in_true_and_false_need_no_flag(tmp_path):
    write_standard(tmp_path)
    for split in SPLITS:
        frame = pd.read_csv(tmp_path / f"{split}.csv", dtype=str)
        frame["label"] = frame["label"].map({"0": "False", "1": "True"})
        frame.to_csv(tmp_path / f"{split}.csv", index=False)
    check(read(tmp_path)[0])


def test_drivendatas_sample_submission_has_a_column_of_probabilities(tmp_path):
    write_standard(tmp_path)
    sample = [{"id": m["name"], "proba": 0.5, "label": 0} for m in rows_of("test")]
    write_csv(tmp_path / "submission_format.csv", sample)
    table, problems, _ = read_memes(tmp_path)
    assert not problems
    assert table.submission_columns == ["id", "proba", "label"]
    assert (table.id_column, table.label_column) == ("id", "label")


# Links and paths


def test_hugging_face_cache_of_links(tmp_path):
    write_standard(tmp_path / "real")
    snapshot = tmp_path / "cache" / "datasets--x" / "snapshots" / "0123"
    for path in (tmp_path / "real").rglob("*.*"):
        link = snapshot / path.relative_to(tmp_path / "real")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    check(read(snapshot)[0])
    check(read(tmp_path / "cache")[0])


def test_image_folder_is_a_link(tmp_path):
    write_standard(tmp_path / "data", pictures=None)
    write_standard(tmp_path / "scratch")
    (tmp_path / "data" / "img").symlink_to(tmp_path / "scratch" / "img")
    check(read(tmp_path / "data")[0])


@pytest.mark.parametrize(
    ("image", "pictures"),
    [
        ("{folder}/images/{name}.png", "images"),  # absolute, in the data folder
        ("/content/drive/memes/{name}.png", "images"),  # absolute, on another machine
        ("D:\\memes\\{name}.png", "images"),
        ("images\\{name}.png", "images"),
        ("img/{name}.png", "images"),  # another folder
        ("img/{name}.PNG", "img"),
        ("{name}", "img"),
        ("{number}", "img"),  # without the leading zeros
        ("{number}.png", "any/where"),
    ],
)
def test_pictures_are_found_where_the_table_does_not_say(tmp_path, image, pictures):
    def written(meme):
        number = str(int(meme["name"]))
        return image.format(folder=tmp_path, name=meme["name"], number=number)

    write_standard(tmp_path, written, pictures)
    rows, _ = read(tmp_path)
    check(rows)
    assert [Path(path).stem for path in rows["image"]] == [meme["name"] for meme in MEMES]


def test_two_pictures_of_one_name_are_not_guessed(tmp_path):
    write_standard(tmp_path, image=lambda m: f"pics/{m['name']}.png", pictures="a")
    save_picture(tmp_path / "b" / "001.png", (5, 5))
    assert '2 images are called "001.png": "a/001.png", "b/001.png"' in error(tmp_path)


# Tables


def test_hidden_files_of_macos_are_not_tables(tmp_path):
    write_standard(tmp_path)
    (tmp_path / "._train.csv").write_bytes(b"\0\5\x16\7 Mac OS X")
    check(read(tmp_path)[0])


def test_windows_1252_is_named_and_read_with_its_flag(tmp_path):
    write_standard(tmp_path)
    text = (tmp_path / "train.csv").read_text().replace("words of", "words of “don’t”")
    (tmp_path / "train.csv").write_bytes(text.replace(",", ";").encode("cp1252"))
    message = error(tmp_path)
    assert "train.csv is not UTF-8: 6 lines" in message and "--encoding windows-1252" in message
    rows, _ = read(tmp_path, encoding="windows-1252")
    assert rows["caption"].iloc[0] == "words of “don’t” train 1"


def test_quotes_escaped_with_a_backslash(tmp_path):
    write_standard(tmp_path)
    text = "id,img,text,label\n" + "".join(
        f'{m["name"]},img/{m["name"]}.png,"words of \\"us\\", and C:\\them",{m["label"]}\n'
        for m in rows_of("train")
    )
    (tmp_path / "train.csv").write_text(text)
    assert read(tmp_path)[0]["caption"].iloc[0] == 'words of "us", and C:\\them'


@pytest.mark.parametrize(("first", "delimiter"), [("sep=;\n", ";"), ("SEP=|\r\n", "|")])
def test_first_line_that_names_the_delimiter(tmp_path, first, delimiter):
    write_standard(tmp_path)
    text = (tmp_path / "train.csv").read_text().replace(",", delimiter)
    (tmp_path / "train.csv").write_text(first + text)
    rows, _ = read(tmp_path)
    check(rows)
    assert rows["line"].iloc[0] == 3


# What is absent


@pytest.mark.parametrize("cell", ["", " ", "null", "NaN", "None", "NA"])
def test_absent_captions_and_pictures_are_used_and_counted(tmp_path, cell):
    write_standard(tmp_path)
    frame = pd.read_csv(tmp_path / "train.csv", dtype=str)
    frame.loc[0, "text"] = frame.loc[1, "img"] = cell
    frame.to_csv(tmp_path / "train.csv", index=False)
    rows, notes = read(tmp_path)
    assert len(rows) == len(MEMES)
    assert rows["caption"].iloc[0] == "" and rows["image"].iloc[1] == ""
    assert "1 of 11 rows have no caption" in notes and "1 of 11 rows have no picture" in notes


def test_data_set_without_pictures_and_one_without_captions(tmp_path):
    for column in ("img", "text"):
        folder = write_standard(tmp_path / column, pictures=None if column == "img" else "img")
        for split in SPLITS:
            frame = pd.read_csv(folder / f"{split}.csv", dtype=str).drop(columns=column)
            frame.to_csv(folder / f"{split}.csv", index=False)
    rows, notes = read(tmp_path / "img")
    assert (rows["image"] == "").all() and "no row has a picture" in notes
    rows, notes = read(tmp_path / "text")
    assert (rows["caption"] == "").all() and "no row has a caption" in notes


def test_captions_in_a_column_of_another_name_are_not_ignored(tmp_path):
    write_standard(tmp_path)
    for split in SPLITS:
        frame = pd.read_csv(tmp_path / f"{split}.csv", dtype=str).rename(columns={"text": "said"})
        frame.to_csv(tmp_path / f"{split}.csv", index=False)
    assert "--text-column" in error(tmp_path)
    check(read(tmp_path, text_column="said")[0])


# One cause, one message


def test_one_cause_is_one_message(tmp_path):
    write_standard(tmp_path, image=lambda m: f"img/x{m['name']}.png")
    message = error(tmp_path)
    assert "test.csv, train.csv, val.csv: 11 rows have the same fault (3, 6, 2)" in message
    assert message.count("no image") == 3 and "holds 11 pictures, such as" in message
    assert len(message.splitlines()) <= 12
    assert "--on-bad-rows blank" not in error(
        write_many(tmp_path / "many", broken=60)
    ) and "60 rows" in error(tmp_path / "many")


def write_many(folder, broken):
    rows = [
        {"id": n, "img": "z.png" if n < broken else "a.png", "text": "t", "label": n % 2}
        for n in range(99)
    ]
    write_csv(folder / "train.csv", rows)
    write_csv(folder / "test.csv", rows[-2:])
    save_picture(folder / "a.png")
    return folder
