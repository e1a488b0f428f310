"""Data reading: which files, columns and rows are accepted, and the error messages."""

import json

import pytest
from PIL import Image

from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.columns import Columns
from extract.tables.read_memes import read_memes, read_unlabelled
from extract.tables.table_options import TableOptions
from runtime.errors import UserError

TRAIN = "id,img,text,label\n1,img/a.png,one,0\n2,img/b.png,two,1\n"
TEST = "id,img,text\n7,img/a.png,seven\n8,img/b.png,eight\n"


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (1, 1)).save(path)


def write_files(folder, **files):
    """Write img/a.png, img/b.png and `files`: the argument train_csv is written to train.csv."""
    for name, content in files.items():
        path = folder / ".".join(name.rsplit("_", 1))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in "ab":
        write_picture(folder / "img" / f"{name}.png")
    return folder


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def meme(key, label=0, img="img/a.png", text="words"):
    return {"id": key, "img": img, "label": label, "text": text}


def read(data, columns=None, on_bad_rows="stop"):
    table, problems, notes = read_memes(data, TableOptions(columns=columns or Columns()))
    return resolve_bad_rows(table, problems, on_bad_rows)[0], notes


def error_message(data, columns=None, on_bad_rows="stop"):
    with pytest.raises(UserError) as error:
        read(data, columns, on_bad_rows)
    return str(error.value)


def ids(table, split):
    return table.rows.query("split == @split")["id"].tolist()


# Formats


def test_kaggle_folder_gives_the_documented_columns(tmp_path):
    val = TRAIN.replace("1,img", "3,img").replace("2,img", "4,img")
    table, notes = read(write_files(tmp_path, test_csv=TEST, valid_csv=val, train_csv=TRAIN))
    rows = table.rows
    assert list(rows) == ["id", "split", "image", "caption", "label", "order", "file", "line"]
    assert rows["split"].tolist() == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert rows["label"].tolist() == [0, 1, 0, 1, -1, -1]
    assert rows["order"].tolist() == [-1, -1, -1, -1, 0, 1]
    assert (rows["label"].dtype, rows["order"].dtype) == ("int8", "int32")
    assert rows["image"][0] == str(tmp_path / "img" / "a.png")
    assert (rows["file"][3], rows["line"][3], rows["line"].dtype) == ("valid.csv", 3, "int64")
    assert (table.id_column, table.label_column) == ("id", "label")
    assert "val: 2 rows from valid.csv." in notes


@pytest.mark.parametrize("as_folder", [True, False])
def test_one_file_with_a_split_column(tmp_path, as_folder):
    lines = ["Image_ID, IMG ,Caption,Hateful,Set", "1,img/a.png,a,0,train", "2,img/b.png,b,1,TRAIN"]
    lines += ["3,img/a.png,c,1,Dev_Seen", "4,img/a.png,d,,test_unseen"]
    write_files(tmp_path, memes_csv="\n".join(lines))
    table, _ = read(tmp_path if as_folder else tmp_path / "memes.csv")
    assert table.rows["split"].tolist() == ["train", "train", "val", "test"]
    assert (table.id_column, table.label_column) == ("Image_ID", "Hateful")


def test_unknown_split_value_is_a_bad_row(tmp_path):
    text = "id,img,text,label,split\n1,img/a.png,a,0,train\n2,img/b.png,b,1,train\n"
    text += "3,img/a.png,c,0,test\n4,img/a.png,c,0,tset\n"
    message = error_message(write_files(tmp_path, memes_csv=text))
    assert 'memes.csv:5: column split: found "tset", allowed train, val or test' in message


def test_rows_shared_by_dev_seen_and_dev_unseen_are_used_once(tmp_path):
    write_files(
        tmp_path,
        train_jsonl=jsonl(meme("01", 0), meme("02", 1)),
        dev_seen_jsonl=jsonl(meme("11"), meme("12")),
        dev_unseen_jsonl=jsonl(meme("12"), meme("13")),
        test_seen_jsonl=jsonl({"id": 21, "img": "img/a.png", "text": "t"}),
        test_unseen_jsonl=jsonl(meme(22, None)),
    )
    table, notes = read(tmp_path)
    assert ids(table, "val") == ["11", "12", "13"]
    assert ids(table, "test") == ["21", "22"]
    assert any("val: 1 id in more than one file" in note for note in notes)


def test_same_id_with_different_content_in_a_second_file_is_a_bad_row(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, dev_csv=TRAIN, val_csv=TRAIN[:-2] + "0\n")
    assert 'val.csv:3: column id: found "2" again, which dev.csv:3 has' in error_message(tmp_path)


def test_train_in_two_formats_is_ambiguous(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, train_jsonl=jsonl(meme(1)))
    message = error_message(tmp_path)
    assert '"train.csv", "train.jsonl"' in message
    assert "--train train.csv" in message


def test_split_column_of_split_files_is_noted_and_read_only_if_requested(tmp_path):
    def with_split(text, split):
        head, *rows = text.splitlines()
        return "\n".join([f"{head},split", *(f"{row},{split}" for row in rows)])

    write_files(tmp_path, train_csv=with_split(TRAIN, "A"), test_csv=with_split(TEST, "test"))
    table, notes = read(tmp_path)
    assert ids(table, "train") == ["1", "2"]
    assert 'train.csv: column "split" is ignored, because the file name gives the split.' in notes
    assert 'found "a", allowed train' in error_message(tmp_path, Columns(split="split"))


def test_other_tables_in_the_folder_are_noted(tmp_path):
    _, notes = read(write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, extra_csv="x\n1\n"))
    assert "Not read: extra.csv." in notes


# Files and folders


def test_missing_path(tmp_path):
    assert "does not exist" in error_message(tmp_path / "nowhere")


def test_file_that_is_not_a_table(tmp_path):
    (tmp_path / "memes.xlsx").write_bytes(b"x")
    assert ".csv, .tsv, .jsonl" in error_message(tmp_path / "memes.xlsx")


def test_no_train_table(tmp_path):
    message = error_message(write_files(tmp_path, test_csv=TEST, dev_csv=TRAIN))
    assert "no train rows" in message
    assert '"dev.csv", "test.csv"' in message


def test_no_test_table(tmp_path):
    message = error_message(write_files(tmp_path, train_csv=TRAIN, dev_csv=TRAIN))
    assert "no test rows" in message
    assert "test_seen" in message


def test_only_a_train_table_without_split_column(tmp_path):
    message = error_message(write_files(tmp_path, train_csv=TRAIN))
    assert "no split column" in message
    assert "--split-column" in message
    assert "test.csv" in message


@pytest.mark.parametrize("folder_holds", ["nothing", "an image"])
def test_folder_without_tables(tmp_path, folder_holds):
    if folder_holds == "an image":
        write_picture(tmp_path / "a.png")
    assert "no train rows" in error_message(tmp_path)


@pytest.mark.parametrize("name", ["train_csv", "test_csv"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty file"),
        (b"\xef\xbb\xbf\r\n", "empty file"),
        ("id,img,text,label\n", "empty table"),
        (TRAIN.encode("utf-16"), "UTF-16"),
    ],
)
def test_empty_tables(tmp_path, name, text, expected):
    files = {"train_csv": TRAIN, "test_csv": TEST, name: text}
    message = error_message(write_files(tmp_path, **files))
    assert expected in message
    assert name.replace("_", ".") in message


def test_error_for_only_one_class_gives_the_counts(tmp_path):
    message = error_message(
        write_files(tmp_path, train_csv=TRAIN.replace("two,1", "two,0"), test_csv=TEST)
    )
    assert "only one class" in message
    assert "2 labels are 0 and 0 are 1" in message


# Columns


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("id,img,words,label", ["no text column", '"words"', "caption", "--text-column"]),
        ("key,text,label,more", ["no id or image column", "--id-column", "--image-column"]),
        ("id,img,text,score", ["no label column", "hateful", "--label-column"]),
        ("id,image,text,caption", ['"text" and "caption"', "--text-column"]),
        ("img,image,text,label", ['"img" and "image"', "--image-column"]),
        ("id,img,text,text", ["repeats", '"text"']),
    ],
)
def test_headers_with_missing_or_ambiguous_columns(tmp_path, header, expected):
    message = error_message(
        write_files(tmp_path, train_csv=f"{header}\n1,img/a.png,x,0\n", test_csv=TEST)
    )
    assert all(part in message for part in ["train.csv", *expected])


def test_column_flag_selects_a_column_and_a_misspelt_name_gets_a_suggestion(tmp_path):
    write_files(tmp_path, train_csv=TRAIN.replace("label", "Score"), test_csv=TEST)
    assert read(tmp_path, Columns(label="Score"))[0].label_column == "Score"
    message = error_message(tmp_path, Columns(label="scores"))
    assert '--label-column "scores"' in message
    assert 'Did you mean "Score"?' in message
    assert "is not a column" in error_message(tmp_path, Columns(label="Score", image="zzz"))


def test_column_flag_resolves_an_ambiguity(tmp_path):
    text = "id,img,text,caption,label\n1,img/a.png,x,A,0\n2,img/a.png,x,B,1\n"
    test = "id,img,caption\n1,img/a.png,C\n"
    write_files(tmp_path, train_csv=text, test_csv=test)
    table, _ = read(tmp_path, Columns(text="caption"))
    assert table.rows["caption"].tolist() == ["A", "B", "C"]


def test_without_id_column_the_image_is_the_id(tmp_path):
    write_files(
        tmp_path,
        train_csv="image,text,label\na.png,x,0\nb.png,y,1\n",
        test_csv="image,text\na.png,z\n",
    )
    table, notes = read(tmp_path)
    assert table.id_column == "image"
    assert ids(table, "test") == ["a.png"]
    assert any("no id column" in note for note in notes)


def test_without_image_column_the_id_is_the_image(tmp_path):
    write_picture(tmp_path / "img" / "01235.png")
    write_files(
        tmp_path,
        train_csv="id,text,label\n01235,x,0\na.png,y,1\n",
        test_csv="id,text\nb,z\n",
    )
    table, notes = read(tmp_path)
    assert table.rows["image"][0].endswith("img/01235.png")
    assert table.rows["image"][2].endswith("img/b.png")
    assert any("no image column" in note for note in notes)


# Parsing


def test_line_numbers_after_multi_line_captions(tmp_path):
    text = 'id,img,text,label\r\n1,img/a.png,"one\r\ntwo, ""three""",0\r\n\r\n2,img/b.png,b,1\r\n'
    table, _ = read(write_files(tmp_path, train_csv=text, test_csv=TEST))
    assert table.rows["line"].tolist() == [2, 5, 2, 3]
    assert table.rows["caption"][0] == 'one\r\ntwo, "three"'
    assert table.rows["label"].tolist()[:2] == [0, 1]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_byte_order_mark_and_other_delimiters(tmp_path, delimiter):
    train = "\ufeff" + TRAIN.replace(",", delimiter).replace("one", "one, or two")
    table, _ = read(write_files(tmp_path, train_csv=train, test_tsv=TEST.replace(",", "\t")))
    assert table.id_column == "id"
    assert table.rows["caption"][0] == "one, or two"


def test_leading_zeros_and_json_ints_are_text(tmp_path):
    write_files(
        tmp_path,
        train_jsonl=jsonl(meme(7, 0.0), meme("08", "1")),
        test_csv=TEST.replace("7,", "0007,"),
    )
    table, _ = read(tmp_path)
    assert table.rows["id"].tolist() == ["7", "08", "0007", "8"]
    assert table.rows["label"].tolist() == [0, 1, -1, -1]


def test_json_numbers_as_ids_are_not_reformatted(tmp_path):
    numbers = ["-0", "0", "1e5", "1E5", "1.10", "1.1", "9" * 5000, "1e999", "0.1000000000000000055"]
    rows = "".join(f'{{"id": {n}, "img": "img/a.png", "text": "x"}}\n' for n in [*numbers, "true"])
    table, _ = read(write_files(tmp_path, train_csv=TRAIN, test_jsonl=rows))
    assert ids(table, "test") == [*numbers, "true"]


def test_row_merged_into_another_by_an_unclosed_quote_is_reported(tmp_path):
    test = 'id,img,text\n7,img/a.png,"seven\n8,img/b.png,"eight, too"\n9,img/b.png,nine\n'
    message = error_message(
        write_files(tmp_path, train_csv=TRAIN, test_csv=test), on_bad_rows="blank"
    )
    assert "test.csv:2: a quote opens" in message and "read up to line 3" in message


def test_id_with_a_line_break_is_a_bad_row(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_jsonl=jsonl(meme("a\rb"), meme("c\nd")))
    message = error_message(tmp_path)
    assert 'test.jsonl:1: column id: found "a\\rb", allowed any text in one line' in message
    assert "test.jsonl:2: column id" in message


def test_header_of_100_000_columns_is_read_and_abbreviated_in_messages(tmp_path):
    names = ",".join(f"column {number}" for number in range(100_000))
    train = f"{names},id,img,text,label\n" + "".join(
        "," * 100_000 + f"{n},img/a.png,x,{n % 2}\n" for n in range(2)
    )
    write_files(tmp_path, train_csv=train, test_csv=TEST)
    assert ids(read(tmp_path)[0], "train") == ["0", "1"]
    message = error_message(write_files(tmp_path, train_csv=train.replace("text", "words")))
    assert "no text column" in message and "99974 more" in message and len(message) < 2000


def test_wrong_field_counts_cannot_be_blanked(tmp_path):
    write_files(tmp_path, train_csv=TRAIN + "3,img/a.png,a,b,0\n4\n", test_csv=TEST)
    message = error_message(tmp_path, on_bad_rows="blank")
    assert "train.csv:4: found 5 fields, expected 4" in message
    assert "train.csv:5: found 1 fields, expected 4" in message


def test_quote_that_never_closes_is_reported(tmp_path):
    test = 'id,img,text\n7,img/a.png,seven\n8,img/b.png,"eight\n9,img/b.png,nine\n'
    message = error_message(write_files(tmp_path, train_csv=TRAIN, test_csv=test))
    assert "test.csv:3: a quote opens" in message


@pytest.mark.parametrize(
    "broken",
    [
        *('{"id": 3', "[1]", "3", "nul", "[" * 100_000, '{"id": -Infinity}'),
        *('{"id": 3, "id": 4}', '{"id": 3, " id": 3}'),
    ],
)
def test_broken_json_lines_are_bad_rows(tmp_path, broken):
    text = jsonl(meme(1, 0)) + "\n" + broken + "\r\n" + jsonl(meme(2, 1))
    message = error_message(write_files(tmp_path, train_jsonl=text, test_csv=TEST))
    assert "train.jsonl:3: not a JSON object" in message
    assert len(message) < 500


def test_table_with_only_broken_lines_lists_them(tmp_path):
    assert "test.jsonl:1" in error_message(
        write_files(tmp_path, train_csv=TRAIN, test_jsonl="{\n{\n")
    )


def test_json_list_as_caption_is_a_bad_row(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_jsonl=jsonl(meme(1), meme(2, text=["a"])))
    assert "test.jsonl:2: column text: found a list" in error_message(tmp_path)


# Invalid rows


def test_all_bad_rows_are_listed_in_one_message(tmp_path):
    bad = "3,img/a.png,c,2\n4,img/a.png,d,\n,img/a.png,e,0\n3,img/b.png,f,1.0\n"
    bad += "5,img/z.png,g,0\n6,img/a.png,  ,0\n9,img/a.png,h,-1\n"
    message = error_message(write_files(tmp_path, train_csv=TRAIN + bad, test_csv=TEST + "9,,x\n"))
    assert "6 bad rows" in message
    assert 'train.csv:4: column label: found "2", allowed 0 or 1' in message
    assert "train.csv:5: column label: found nothing, allowed 0 or 1" in message
    assert "train.csv:6: column id: found nothing" in message
    assert 'train.csv:7: column id: found "3" again, which train.csv:4 has' in message
    assert f'train.csv:8: column img: no image "img/z.png" in {tmp_path}' in message
    assert 'train.csv:10: column label: found "-1", allowed 0 or 1' in message


def test_bad_labels_are_reported_before_only_one_class(tmp_path):
    message = error_message(
        write_files(tmp_path, train_csv=TRAIN.replace("two,1", "two,yes"), test_csv=TEST)
    )
    assert 'found "yes"' in message


def test_test_labels_may_be_empty_or_minus_one_but_not_two(tmp_path):
    test = "id,img,text,label\n1,img/a.png,x,\n2,img/a.png,x,-1\n3,img/a.png,x,1\n"
    write_files(tmp_path, train_csv=TRAIN, test_csv=test)
    assert read(tmp_path)[0].rows["label"].tolist() == [0, 1, -1, -1, 1]
    write_files(tmp_path, test_csv=test + "4,img/a.png,x,2\n")
    assert 'test.csv:5: column label: found "2", allowed 0 or 1' in error_message(tmp_path)


def test_same_id_in_two_splits_is_allowed_and_noted(tmp_path):
    table, notes = read(write_files(tmp_path, train_csv=TRAIN, test_csv=TEST.replace("7,", "1,")))
    assert ids(table, "train") == ["1", "2"]
    assert ids(table, "test") == ["1", "8"]
    assert 'train and test, such as "1"' in " ".join(notes)


def test_blank_mode_retains_test_rows_and_drops_train_rows(tmp_path):
    write_files(
        tmp_path,
        train_csv=TRAIN + "3,img/z.png,c,0\n4,img/a.png,d,1\n",
        test_csv=(TEST + "9,img/a.png,caf\xe9\n1,../a.png,out\n").encode("latin-1"),
    )
    table, _ = read(tmp_path, on_bad_rows="blank")
    assert ids(table, "train") == ["1", "2", "4"]
    assert ids(table, "test") == ["7", "8", "9", "1"]
    assert table.rows["caption"].tolist()[-2:] == ["", "out"]
    assert table.rows["image"].tolist()[-1] == ""
    assert table.rows["image"].tolist()[-2] != ""
    assert table.rows["order"].tolist() == [-1, -1, -1, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (b"caf\xe9 \xff", "not UTF-8, found the bytes e9 ff"),
        (b"a\0b", "NUL"),
    ],
)
def test_invalid_captions(tmp_path, caption, expected):
    test = TEST.encode().replace(b"eight", caption)
    message = error_message(write_files(tmp_path, train_csv=TRAIN, test_csv=test))
    assert "test.csv:3: column text: " in message
    assert expected in message
    message.encode()  # The message has no lone surrogates, so it can be printed.


def test_lone_surrogate_in_json_is_not_utf8(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_jsonl=jsonl(meme(1, text="ha \ud83d")))
    assert "not UTF-8, found the bytes \\ud83d" in error_message(tmp_path)


def test_id_that_is_not_utf8_cannot_be_blanked(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST.encode() + b"\xe9,img/a.png,x\n")
    assert "test.csv:4: column id: not UTF-8" in error_message(tmp_path, on_bad_rows="blank")


# Images


@pytest.mark.parametrize(
    "path",
    ["../z.png", "img/../../z.png", "/etc/hostname", "C:\\z.png", "c:z.png", "..\\z.png"],
)
def test_image_paths_outside_the_data_folder(tmp_path, path):
    write_picture(tmp_path / "z.png")
    folder = tmp_path / "data"
    folder.mkdir()
    test = TEST + f"9,{path},nine\n"
    message = error_message(write_files(folder, train_csv=TRAIN, test_csv=test))
    assert "test.csv:4: column img" in message
    assert "stays in the data folder" in message or f"in {folder}" in message


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_in_the_data_folder_are_followed(tmp_path, link):
    write_picture(tmp_path / "secret" / "s.png")
    folder = tmp_path / "data"
    folder.mkdir()
    write_files(folder, train_csv=TRAIN, test_csv=TEST + "9,img/out/s.png,nine\n")
    if link == "folder":
        (folder / "img" / "out").symlink_to(tmp_path / "secret")
    else:
        (folder / "img" / "out").mkdir()
        (folder / "img" / "out" / "s.png").symlink_to(tmp_path / "secret" / "s.png")
    assert read(folder)[0].rows["image"].iloc[-1] == str(folder / "img" / "out" / "s.png")


def test_data_folder_may_be_a_link(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write_files(folder, train_csv=TRAIN, test_csv=TEST)
    (tmp_path / "link").symlink_to(folder)
    assert len(read(tmp_path / "link")[0]) == 4


@pytest.mark.parametrize("image_folder", ["img", "images", "imgs", "test", "test_images"])
def test_image_names_without_folder_are_found_in_the_usual_folders(tmp_path, image_folder):
    write_picture(tmp_path / image_folder / "only.png")
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST + "9,only.png,nine\n")
    assert read(tmp_path)[0].rows["image"].iloc[-1] == str(tmp_path / image_folder / "only.png")


def test_same_image_name_in_the_folders_of_two_splits(tmp_path):
    write_picture(tmp_path / "train" / "1.png")
    write_picture(tmp_path / "test" / "1.png")
    write_files(
        tmp_path,
        train_csv="id,img,text,label\n1,1.png,x,0\n2,a.png,x,1\n",
        test_csv="id,img,text\n1,1.png,x\n",
    )
    images = read(tmp_path)[0].rows["image"].tolist()
    assert images[0] == str(tmp_path / "train" / "1.png")
    assert images[2] == str(tmp_path / "test" / "1.png")


@pytest.mark.parametrize("name", ["x" * 5000, "img", "a\0b.png", "caf\xe9.png"])
def test_invalid_image_names_are_bad_rows(tmp_path, name):
    test = TEST.encode() + f"9,{name},nine\n".encode("latin-1")
    message = error_message(write_files(tmp_path, train_csv=TRAIN, test_csv=test))
    assert "1 bad row in the data" in message
    assert "test.csv:4: column img" in message


# Sample submission


@pytest.mark.parametrize("name", ["sample_submission", "sampleSubmission", "sample_solution"])
def test_sample_submission_gives_order_and_column_names(tmp_path, name):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST + "9,img/a.png,nine\n")
    (tmp_path / f"{name}.csv").write_text("Id,Hateful\n9,0\n7,0\n")
    table, notes = read(tmp_path)
    assert (table.id_column, table.label_column) == ("Id", "Hateful")
    assert table.rows["order"].tolist() == [-1, -1, 1, -1, 0]
    assert f"{name}.csv does not ask for 1 of the test ids." in notes


def test_list_as_id_in_a_sample_submission_is_a_bad_row(tmp_path):
    sample = '{"id": "7", "label": 0}\n{"id": ["8"], "label": 0}\n'
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, sample_submission_jsonl=sample)
    assert "sample_submission.jsonl:2: column id: found \"['8']\" which" in error_message(tmp_path)


def test_sample_submission_with_unknown_and_repeated_ids(tmp_path):
    sample = "id,label\n7,0\n07,0\n7,0\n8,0\n"
    message = error_message(
        write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, sample_submission_csv=sample),
        None,
        "blank",
    )
    assert 'sample_submission.csv:3: column id: found "07" which is not an id of test' in message
    assert 'sample_submission.csv:4: column id: found "7" again' in message


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("label,key\n0,a\n0,b\n", "no value of its column"),
        ("id,proba,label,x\n7,0,0,0\n", "allowed are two"),
        ("id,label\n", "empty table"),
        (b"id,\xe9\n7,0\n", "in UTF-8"),
    ],
)
def test_invalid_sample_submissions(tmp_path, sample, expected):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST, sample_submission_csv=sample)
    message = error_message(tmp_path)
    assert "sample_submission.csv" in message
    assert expected in message


# Unlabelled memes


def test_unlabelled_file_needs_no_train_rows_and_no_valid_labels(tmp_path):
    text = "id,img,text,label,split\n1,img/a.png,x,1,train\n2,img/a.png,y,maybe,dev\n"
    write_files(tmp_path, new_csv=text)
    table, problems, _ = read_unlabelled(tmp_path / "new.csv")
    assert problems == []
    assert table.rows["split"].tolist() == ["test", "test"]
    assert table.rows["label"].tolist() == [1, -1]
    assert table.rows["order"].tolist() == [0, 1]


def test_unlabelled_rows_are_reported_if_all_are_bad(tmp_path):
    write_files(tmp_path, new_jsonl=jsonl(meme(1, text=["a"]), meme(2, text={})))
    with pytest.raises(UserError, match=r"new\.jsonl:2: column text: found a list or an object"):
        read_unlabelled(tmp_path / "new.jsonl")


def test_unlabelled_folder_reads_the_test_table(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, test_csv=TEST)
    table, problems, notes = read_unlabelled(tmp_path, TableOptions(columns=Columns(label="label")))
    assert (problems, table.rows["id"].tolist(), table.label_column) == ([], ["7", "8"], "label")
    assert "Not read: train.csv." in notes


def test_unlabelled_folder_without_test_table(tmp_path):
    write_files(tmp_path, train_csv=TRAIN, dev_csv=TRAIN)
    with pytest.raises(UserError, match="no test table"):
        read_unlabelled(tmp_path)
