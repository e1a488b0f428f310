"""Other forms of published data: columns, labels, paths, files and submissions that people have.

Each is read as it lies, or refused with one message whose advice works when followed.
"""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from written_memes import (
    FLAG,
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

from extract.config import ExtractConfig
from extract.data.image_decoding import decode_pictures
from extract.tables.files import find_images
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options

# Columns


@pytest.mark.parametrize("name", ["Image Name", "file_name", "image_path", "photo", "meme file"])
def test_picture_column_is_known_by_its_name_or_its_cells(tmp_path, name):
    write_standard(tmp_path)
    check(read(rewrite(tmp_path, lambda frame, _: frame.rename(columns={"img": name})))[0])


@pytest.mark.parametrize(
    ("column", "name", "flag"),
    [
        ("text", "sentense", "text_column"),
        ("text", "tweet", "text_column"),
        ("text", "the words", "text_column"),
        ("label", "lable", "label_column"),
        ("label", "annotation", "label_column"),
    ],
)
def test_unknown_or_misspelt_column_is_named_with_its_flag(tmp_path, column, name, flag):
    rewrite(write_standard(tmp_path), lambda frame, _: frame.rename(columns={column: name}))
    check(follow(error(tmp_path), tmp_path, flag))


def test_strange_column_names_are_not_advised(tmp_path):
    write_standard(tmp_path)
    rewrite(tmp_path, lambda frame, _: frame.rename(columns={"text": "te\x1b[31mxt"}))
    assert error(tmp_path).isprintable()


def test_unnamed_index_and_weaker_label_names(tmp_path):
    write_standard(tmp_path)

    def change(frame, split):
        frame = frame.rename(columns={"label": "offensive", "text": "text_ocr"})
        return frame.rename_axis("").reset_index()

    check(read(rewrite(tmp_path, change))[0])


def test_header_that_is_a_row_is_named(tmp_path):
    write_standard(tmp_path)
    for split in SPLITS:
        path = tmp_path / f"{split}.csv"
        path.write_text(path.read_text().split("\n", 1)[1])
    assert "else add one, such as: id,img,text,label" in error(tmp_path)


def test_test_table_without_captions_takes_an_empty_column(tmp_path):
    rewrite(write_standard(tmp_path), lambda frame, _: frame.drop(columns="text"), ["test"])
    assert 'add an empty column "text"' in error(tmp_path)
    rewrite(tmp_path, lambda frame, _: frame.assign(text=""), ["test"])
    assert read(tmp_path)[0]["caption"].tolist().count("") == 3


# Labels


@pytest.mark.parametrize(
    ("negative", "positive"),
    [
        ("not_hate", "hate"),
        ("No", "Yes"),
        ("NOT", "HOF"),
        ("Non-offensiv", "offensive"),
        ("counter-hate", "hate"),
        ("nonhateful", "hateful"),
        ("1", "2"),
        ("-1", "1"),
    ],
)
def test_label_words_are_named_with_the_flag_for_the_hateful_one(tmp_path, negative, positive):
    write_standard(tmp_path)
    words = {"0": negative, "1": positive}
    rewrite(tmp_path, lambda frame, _: frame.assign(label=frame["label"].map(words)))
    rows = follow(error(tmp_path), tmp_path, "positive")
    check(rows)
    assert rows["label"].tolist() == [meme["label"] for meme in MEMES]


def test_positive_that_no_label_has_is_refused_with_one_that_has(tmp_path):
    write_standard(tmp_path)
    words = {"0": "not_hate", "1": "hate"}
    rewrite(tmp_path, lambda frame, _: frame.assign(label=frame["label"].map(words)))
    message = error(tmp_path, positive="hateful")
    assert '--positive "hateful" is none of them' in message
    check(read(tmp_path, positive="hate")[0])
    assert 'no row has the label "hatefull"' in read(tmp_path, positive="hate,hatefull")[1]


def test_column_of_numbers_instead_of_labels_is_one_message(tmp_path):
    write_standard(tmp_path)
    rows = [
        {"id": n, "img": "img/001.png", "text": "a b", "label": f"0.{n}", "hate": n % 2}
        for n in range(1, 30)
    ]
    write_csv(tmp_path / "train.csv", rows)
    message = error(tmp_path, label_column="label")
    assert "holds 31 different values, such as" in message and "\n" not in message


@pytest.mark.parametrize("cell", ["", "NaN", "None"])
def test_train_rows_without_label_are_left_out_by_the_flag(tmp_path, cell):
    write_standard(tmp_path)

    def change(frame, split):
        frame.loc[:3, "label"] = cell
        return frame

    rewrite(tmp_path, change, ["train"])
    message = error(tmp_path)
    assert "4 bad rows" in message and "--on-bad-rows blank" in message
    rows, _ = read(tmp_path, on_bad_rows="blank")
    assert rows["id"].tolist() == [meme["name"] for meme in MEMES[4:]]


def test_repeated_id_with_another_label_is_named(tmp_path):
    write_standard(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("001,img/001.png,words,1\n")
    assert 'train.csv:8: column id: found "001" again, which train.csv:2 has' in error(tmp_path)


# Paths of pictures


@pytest.mark.parametrize(
    ("image", "disk"),
    [
        ("img/meme%20{name}.png", "img/meme {name}.png"),
        ("img/100%25{name}.png", "img/100%25{name}.png"),
        ("https://i.redd.it/{name}.png?width=640&s=1", "img/{name}.png"),
        ("file:///home/a/img/{name}.png", "img/{name}.png"),
        ("img/{name}.jpg", "img/{name}.png"),
        ("{name}", "img/{name}.jfif"),
        ("pics/{name}.JFIF", "img/{name}.jfif"),
        ("{name}", "img/{name}.webp"),
        ("meme {name} (1).gif", "img/meme {name} (1).gif"),
        ("img/../img/{name}.png", "img/{name}.png"),
        (".\\img\\{name}.png", "img/{name}.png"),
        ("{number}.0", "img/{name}.png"),
    ],
)
def test_pictures_are_found_in_each_form_of_path(tmp_path, image, disk):
    def written(meme):
        return image.format(name=meme["name"], number=int(meme["name"]))

    write_standard(tmp_path, written, pictures=None)
    for number, meme in enumerate(MEMES):
        path = tmp_path / disk.format(name=meme["name"])
        path.parent.mkdir(exist_ok=True)
        form = "JPEG" if path.suffix == ".jfif" else None
        Image.new("RGB", (4, 4), (number, 9, 9)).save(path, form)
    rows, _ = read(tmp_path)
    check(rows)
    assert all(meme["name"] in path for meme, path in zip(MEMES, rows["image"], strict=True))


def test_path_from_the_folder_of_the_table_stays_in_the_data_folder(tmp_path):
    write_standard(tmp_path / "data" / "tables", lambda m: f"../images/{m['name']}.png", None)
    for meme in MEMES:
        save_picture(tmp_path / "data" / "images" / f"{meme['name']}.png")
    check(read(tmp_path / "data")[0])
    message = error(tmp_path / "data" / "tables")
    assert "allowed a path that stays in the data folder" in message
    check(read(tmp_path / "data" / "tables", image_folder="../images")[0])


def test_missing_pictures_are_one_message_with_what_the_folder_holds(tmp_path):
    write_standard(tmp_path, lambda m: f"https://x.org/{m['name']}.png", pictures=None)
    assert "holds no picture (none is downloaded); name the folder" in error(tmp_path)
    (tmp_path / "images.zip").write_bytes(b"PK\3\4")
    message = error(tmp_path)
    assert 'holds no picture, but "images.zip": unpack it' in message
    assert len(message.splitlines()) <= 8
    for meme in MEMES:
        save_picture(tmp_path / "images" / f"{meme['name']}.png")
    check(read(tmp_path)[0])


def test_link_to_nothing_is_named(tmp_path):
    write_standard(tmp_path)
    (tmp_path / "img" / "001.png").unlink()
    (tmp_path / "img" / "001.png").symlink_to("/scratch/001.png")
    assert '"img/001.png" is a link to "/scratch/001.png", which does not' in error(tmp_path)


def test_search_ends_after_many_files_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(find_images, "MAX_FILES", 5)
    write_standard(tmp_path, lambda m: f"{m['name']}.png", pictures="a/b")
    for number in range(9):
        (tmp_path / "a" / f"{number}.txt").touch()
    message = error(tmp_path)
    assert "The first 5 files below" in message and "--image-folder DIR" in message
    check(read(tmp_path, image_folder="a/b")[0])


# Files


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_of_hugging_faces_imagefolder(tmp_path, name):
    for split, folder in (("train", "train"), ("val", "validation"), ("test", "test")):
        rows = [
            {"file_name": f"{n}.png", "text": meme["text"], "label": meme["label"]}
            for n, meme in enumerate(rows_of(split))
        ]
        for row in rows:
            save_picture(tmp_path / "data" / folder / row["file_name"])
        path = tmp_path / "data" / folder / name
        if name.endswith("csv"):
            write_csv(path, rows)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows, notes = read(tmp_path)
    check(rows)
    assert f"6 rows from train/{name}" in notes
    folders = ["/train/"] * 6 + ["/validation/"] * 2 + ["/test/"] * 3
    assert all(part in path for part, path in zip(folders, rows["image"], strict=True))


def test_litter_of_archives_and_spreadsheets_is_no_table(tmp_path):
    write_standard(tmp_path / "dataset" / "dataset")
    for name in ("__MACOSX/train.csv", "dataset/dataset/~$train.csv", "dataset/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"litter")
    check(read(tmp_path)[0])


def test_two_sets_side_by_side_are_named_with_flags_that_choose_one(tmp_path):
    write_standard(tmp_path / "a")
    write_standard(tmp_path / "b")
    message = error(tmp_path)
    check(follow(message, tmp_path, "train", "val", "test"))
    assert FLAG.findall(message)[-1] == ("data", str(tmp_path / "a"))


def pretty(rows):
    return "\n".join(json.dumps(row, indent=1) for row in rows)


@pytest.mark.parametrize(
    "written",
    [
        lambda rows: json.dumps({"version": 1, "memes": rows}),
        lambda rows: json.dumps({row["id"]: row for row in rows}, indent=2),
        lambda rows: json.dumps({r["id"]: {k: v for k, v in r.items() if k != "id"} for r in rows}),
        lambda rows: pd.DataFrame(rows).to_json(),
        lambda rows: json.dumps(pd.DataFrame(rows).to_dict("list")),
        pretty,
    ],
    ids=["named", "by id", "by id alone", "columns", "lists", "pretty"],
)
def test_rows_in_one_json_object_or_over_several_lines(tmp_path, written):
    write_standard(tmp_path)
    for split in SPLITS:
        (tmp_path / f"{split}.csv").unlink()
        rows = [
            {"id": m["name"], "img": f"img/{m['name']}.png", "text": m["text"], "label": m["label"]}
            for m in rows_of(split)
        ]
        (tmp_path / f"{split}.json").write_text(written(rows))
    rows, _ = read(tmp_path)
    check(rows)
    assert rows["id"].tolist() == [meme["name"] for meme in MEMES]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.csv", b"PK\3\4 xl/workbook.xml", "an Excel or ZIP file"),
        ("train.csv", b"<!DOCTYPE html><html>404", "a web page, so a download has failed"),
        ("train.csv", b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        ("train.jsonl", gzip.compress(b"{}"), "compressed: unpack it"),
        ("train.csv.gz", gzip.compress(b"id,text"), '"train.csv.gz"; unpack'),
        ("train.xlsx", b"PK\3\4", '"train.xlsx"; save as CSV'),
        ("train.txt", b"id,img", "name it with --train"),
    ],
)
def test_file_that_is_no_table_is_named_for_what_it_is(tmp_path, name, content, said):
    write_standard(tmp_path)
    (tmp_path / "train.csv").unlink()
    (tmp_path / name).write_bytes(content)
    message = error(tmp_path)
    assert said in message and len(message.splitlines()) == 1


def test_text_files_are_tables_if_they_are_named(tmp_path):
    write_standard(tmp_path)
    for split in SPLITS:
        (tmp_path / f"{split}.csv").rename(tmp_path / f"{split}.txt")
    check(read(tmp_path, **{split: f"{split}.txt" for split in SPLITS})[0])


def test_empty_fields_at_the_end_of_lines_are_ignored_and_commas_need_quotes(tmp_path):
    write_standard(tmp_path)
    path = tmp_path / "train.csv"
    header, rows = path.read_text().split("\n", 1)
    path.write_text(header + "\n" + rows.replace("\n", ",,\n"))
    check(read(tmp_path)[0])
    path.write_text(header + "\n" + rows.replace("words of", "words, of"))
    message = error(tmp_path)
    assert "train.csv: 6 rows have the same fault" in message
    assert "A caption that contains ',' must be in double quotes" in message


# Encodings


@pytest.mark.parametrize(
    ("encoding", "letters"),
    [
        ("utf-8-sig", "don’t"),
        ("utf-16", "don’t"),
        ("utf-16-le", "don’t"),
        ("windows-1252", "don’t “look”"),
        ("gb18030", "你我他讨厌学校朋友"),
    ],
)
@pytest.mark.parametrize("splits", [["train"], SPLITS])
def test_encoding_is_recognised_or_named_and_other_tables_stay_utf8(
    tmp_path, encoding, letters, splits
):
    write_standard(tmp_path)

    def change(frame, split):
        return frame.assign(text=frame["text"] + letters)

    rewrite(tmp_path, change)
    rewrite(tmp_path, lambda frame, _: frame, splits, encoding=encoding)
    rows = (
        read(tmp_path)[0]
        if encoding == "utf-8-sig"
        else follow(error(tmp_path), tmp_path, "encoding")
    )
    check(rows)
    assert rows["caption"].tolist() == [meme["text"] + letters for meme in MEMES]


# Pictures


def test_forms_of_pictures_are_decoded_and_a_cut_one_is_a_bad_row(tmp_path):
    write_standard(tmp_path, lambda m: m["name"], pictures=None)
    noise = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    deep = Image.fromarray((noise[..., 0].astype(np.uint16) + 7) * 200)
    forms = [
        (picture.convert("CMYK"), "jpg", "JPEG"),
        (deep, "png", "PNG"),
        (picture, "webp", "WEBP"),
        (picture.quantize(), "gif", "GIF"),
        (picture, "jfif", "JPEG"),
        (picture, "avif", "AVIF"),
        (picture.convert("LA"), "png", "PNG"),
        (picture, "TIF", "TIFF"),
    ]
    (tmp_path / "img").mkdir()
    for number, meme in enumerate(MEMES):
        one, suffix, form = forms[number % len(forms)]
        one.save(tmp_path / "img" / f"{meme['name']}.{suffix}", form)
    cut = tmp_path / "img" / "011.webp"
    cut.write_bytes(cut.read_bytes()[:90])
    table, problems, _ = read_memes(tmp_path, table_options(ExtractConfig()))
    assert not problems
    _, [problem] = decode_pictures(table, 8, "bilinear")
    assert "011.webp cannot be decoded" in str(problem)


# Sample submissions


@pytest.mark.parametrize(
    "header",
    ["id,label", "label,id", "Id,Predicted", "id,proba,label", "id,label,probability_of_hate"],
)
def test_sample_submission_may_have_its_columns_in_any_order(tmp_path, header):
    names = header.split(",")
    write_standard(tmp_path)
    ids = [meme["name"] for meme in rows_of("test")][::-1]
    rows = [[key if name.lower() == "id" else "1" for name in names] for key in ids]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "sample_submission.csv", index=False)
    table, problems, _ = read_memes(tmp_path)
    assert not problems and table.submission_columns == names
    asked = table.rows[table.rows["split"] == "test"].sort_values("order")
    assert asked["id"].tolist() == ids
    assert table.id_column.lower() == "id" and "prob" not in table.label_column


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (",id,label", "an index, as pandas writes: remove it"),
        ("id,prob_0,prob_1", "one of them called proba"),
        ("id", "allowed are two"),
    ],
)
def test_sample_submission_of_another_form_says_what_is_allowed(tmp_path, header, said):
    write_standard(tmp_path)
    cells = header.replace("id", "009").replace("label", "0")
    (tmp_path / "sample_submission.csv").write_text(f"{header}\n{cells}\n")
    assert said in error(tmp_path)


def test_sample_submission_with_other_ids_names_the_flag_that_helps(tmp_path):
    write_standard(tmp_path)
    text = "".join(f"img/{m['name']}.png,0\n" for m in rows_of("test"))
    (tmp_path / "sample_submission.csv").write_text(f"image,label\n{text}")
    message = error(tmp_path)
    assert 'such as "img/009.png"' in message and "--id-column" in message
    check(read(tmp_path, id_column="img")[0])
