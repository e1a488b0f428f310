"""Data sets as people have them, from the command line to solution.csv.

A command that is refused must say which flag helps; the flag is then taken from the message.
"""

import csv
import json
import re
import shlex
import shutil

import pytest

pytestmark = pytest.mark.usefixtures("quick_heads", "no_plots")
CAPTION_OF_NOTHING = ("🔥🤗", "???", "null", "NA", "")
HARMFUL = ["very harmful", "individual"]
ADVICE = re.compile(r'--(?:positive "[^"]+"|encoding [\w-]+|split [\d.,]*\d|folds \d+)')


def read_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def change_tables(folder, change, encoding="utf-8"):
    """Rewrite each table with change(row, number, split) -> row."""
    for split in ("train", "val", "test"):
        path = folder / f"{split}.csv"
        rows = [change(row, number, split) for number, row in enumerate(read_rows(path))]
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    return folder


def labels_as_lists(folder):
    for split in ("train", "val", "test"):
        table = folder / f"{split}.csv"
        lines = [
            {
                "id": row["id"],
                "image": row["img"].removeprefix("img/"),
                "labels": ["very harmful", "individual"]
                if row["label"] == "1"
                else ["not harmful"],
                "text": row["text"],
            }
            for row in read_rows(table)
        ]
        table.unlink()
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{split}.jsonl").write_text(text)
    (folder / "img").rename(folder / "images")
    (folder / "sample_submission.csv").unlink()


def one_table_without_splits(folder):
    tables = [(folder / f"{split}.csv") for split in ("train", "val", "test")]
    header, text = "", ""
    for path in tables:
        header, rows = path.read_text().split("\n", 1)
        text += rows
        path.unlink()
    (folder / "memes.csv").write_text(f"{header}\n{text}")
    (folder / "sample_submission.csv").unlink()


def windows_1252(folder):
    def curly(row, number, split):
        return row | {"text": f"“{row['text']}” – isn’t it"}

    change_tables(folder, curly, encoding="cp1252")


def few_positives(folder):
    """14 positive memes in train and val: too few for the default number of folds."""
    left = {"train": 10, "val": 4, "test": 0}

    def change(row, number, split):
        if row["label"] == "1":
            left[split] -= 1
        return row | {"label": "1" if row["label"] == "1" and left[split] >= 0 else "0"}

    change_tables(folder, change)


def probability_and_label(folder):
    rows = read_rows(folder / "sample_submission.csv")
    (folder / "sample_submission.csv").unlink()
    text = "".join(f"{row['id']},0.5,0\n" for row in rows)
    (folder / "submission_format.csv").write_text(f"id,proba,label\n{text}")


def captions_of_nothing(folder):
    def change(row, number, split):
        return row | {"text": CAPTION_OF_NOTHING[number % 5]} if number % 3 == 0 else row

    change_tables(folder, change)


def no_captions(folder):
    change_tables(folder, lambda row, *_: {k: v for k, v in row.items() if k != "text"})


def no_pictures(folder):
    change_tables(folder, lambda row, *_: {k: v for k, v in row.items() if k != "img"})
    shutil.rmtree(folder / "img")


def placeholder_pictures(folder):
    placeholder = folder / "img" / read_rows(folder / "train.csv")[0]["img"].removeprefix("img/")

    def change(row, number, split):
        if number % 3 == 0:
            shutil.copy(placeholder, folder / "img" / f"{split}{number}.png")
            return row | {"img": f"img/{split}{number}.png"}
        return row

    change_tables(folder, change)


def deeper_folder_and_other_paths(folder):
    change_tables(folder, lambda row, *_: row | {"img": row["img"].replace("img/", "D:\\memes\\")})
    inner = folder / "data"
    inner.mkdir()
    for path in [path for path in folder.iterdir() if path != inner]:
        path.rename(inner / path.name)


LAYOUTS = {
    labels_as_lists: ("--positive", "id,labels"),
    one_table_without_splits: ("--split", "id,label"),
    windows_1252: ("--encoding", "id,label"),
    few_positives: ("--folds", "id,label"),
    probability_and_label: ("", "id,proba,label"),
    captions_of_nothing: ("have no caption", "id,label"),
    no_captions: ("no row has a caption", "id,label"),
    no_pictures: ("no row has a picture", "id,label"),
    placeholder_pictures: ("placeholder", "id,label"),
    deeper_folder_and_other_paths: ("", "id,label"),
}
"""What each must say on stderr at first, and the header of its solution."""


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_data_set_gives_a_solution_at_once_or_with_the_flag_of_the_message(
    tmp_path, tiny_sample, tiny_weights, command, layout
):
    layout(shutil.copytree(tiny_sample, tmp_path / "data"))
    said, header = LAYOUTS[layout]
    weights = [f"--{kind}-weights={tiny_weights / kind}" for kind in ("image", "text")]
    quick = ("--image-size", 32, "--epochs", 1, "--heads", "linear")
    folds = () if layout is few_positives else ("--folds", 0)
    arguments = ("run", "--data", "data", *weights, *quick, *folds)
    done = command(*arguments, cwd=tmp_path)
    assert said in done.stderr
    refused = said.startswith("--")
    assert done.returncode == (2 if refused else 0), done.stderr
    if refused:
        assert not [*tmp_path.glob("runs/*/*"), *tmp_path.glob("solution.csv")]
        advice = shlex.split(ADVICE.search(done.stderr)[0])
        done = command(*arguments, *advice, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = (tmp_path / "solution.csv").read_text().splitlines()
    assert lines[0] == header
    if layout is not one_table_without_splits:
        expected = [row["id"] for row in read_rows(tiny_sample / "test.csv")]
        assert sorted(line.split(",")[0] for line in lines[1:]) == sorted(expected)
