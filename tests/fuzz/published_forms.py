"""Memes written in random forms that published data sets have: names, labels, paths, files."""

import json
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

SPLITS = {"train": 8, "val": 2, "test": 4}
NAMES = {
    "id": ("id", "ID", "image_id", " Meme ID"),
    "image": ("img", "Image Name", "file_name", "photo", "url"),
    "text": ("text", "Sentence", "Text Transcription", "text_ocr", "tweet", "what it says"),
    "label": ("label", "Hateful", "lable", "offensive", "is_hate"),
}
LABELS = (
    ("0", "1"),
    ("0.0", "1.0"),
    ("False", "True"),
    ("not_hate", "hate"),
    ("No", "YES"),
    ("Non-offensiv", "offensive"),
    ("counter-hate", "hate"),
    ("-1", "1"),
    ("1", "2"),
    (["not harmful"], ["very harmful", "individual"]),
)
PATHS = (
    "img/{name}.png",
    "{name}.png",
    "{name}",
    "images\\{name}.png",
    "D:\\memes\\{name}.PNG",
    "/content/drive/{name}.png",
    "{folder}/pics/{name}.png",
    "https://i.redd.it/{name}.png?width=64",
    "{name}.jpg",
    "pics%2F{name}.png",
    "./pics/../pics/{name}.png",
)
FOLDERS = ("img", "images", "pics", "Labelled Images", "a/b c/d")
STEMS = ("m{0}", "{0:05d}", "meme {0} (1)", "ü{0}", "covid_memes_{0}", "1e{0}")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "windows-1252", "gb18030")
SUFFIXES = ("csv", "tsv", "jsonl", "json", "columns.json", "semicolon.csv", "cr.csv", "shifted.csv")
TABLES = (
    "{split}",
    "{split}_v1",
    "{split}/metadata",
    "dataset/{split}",
    "Annotations/hm_{split}",
)
LITTER = ("._train.csv", "~$train.csv", "Thumbs.db", "__MACOSX/train.csv", ".DS_Store", "notes.md")
PLACEHOLDERS = ("NAME", "FILE", "DIR", "VALUE,VALUE", "as", "blank:")
ABSENT = ("", "null", "NaN", "NA", "None")


@dataclass(frozen=True)
class Form:
    """What one data set looks like."""

    names: dict[str, str]
    labels: tuple
    path: str
    folder: str
    stem: str
    encoding: str
    suffix: str
    table: str
    absent: str | None
    """Caption and picture of two rows of train, if any."""


def draw_form(rng) -> Form:
    def one(choices):
        return choices[rng.integers(len(choices))]

    suffix, path = one(SUFFIXES), one(PATHS)
    names = {role: one(choices) for role, choices in NAMES.items()}
    if not path.lower().endswith((".png", ".jpg")):
        names["image"] = "image_path"  # such cells do not show that they name pictures
    labels = one([form for form in LABELS if "json" in suffix or isinstance(form[0], str)])
    return Form(
        names,
        labels,
        path,
        one(FOLDERS),
        one(STEMS),
        one(ENCODINGS) if "csv" in suffix else "utf-8",
        suffix,
        one(TABLES),
        one((None, *ABSENT)),
    )


def draw_rows(form, folder) -> dict[str, list[dict[str, object]]]:
    """Return id, image (path on disk or empty), text and label of each row, by split."""
    rows, number = {}, 0
    for split, count in SPLITS.items():
        rows[split] = []
        for n in range(count):
            number += 1
            name = form.stem.format(number)
            image = folder / form.folder / f"{name}.png"
            text = (
                f"words {number} “don’t”" if form.encoding != "gb18030" else f"你讨厌学校 {number}"
            )
            rows[split].append({"id": name, "image": image, "text": text, "label": n % 2})
    if form.absent is not None:
        rows["train"][2]["text"] = rows["train"][3]["image"] = ""
    return rows


def write_form(form: Form, rows, folder: Path, rng) -> None:
    """Write the pictures, the tables and some litter."""
    for split, memes in rows.items():
        for meme in memes:
            if meme["image"]:
                meme["image"].parent.mkdir(parents=True, exist_ok=True)
                meme["image"].write_bytes(b"not decoded in these tests")
        name = form.table.format(split=split)
        path = folder / f"{name}.{form.suffix.rpartition('.')[2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_table(form, memes, folder))
    for name in LITTER:
        if rng.integers(2):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"\0litter")


def _table(form: Form, memes, folder: Path) -> bytes:
    lines = [
        {
            form.names["id"]: meme["id"],
            form.names["image"]: form.path.format(name=meme["id"], folder=folder)
            if meme["image"]
            else form.absent,
            form.names["text"]: meme["text"] or form.absent,
            form.names["label"]: form.labels[meme["label"]],
        }
        for meme in memes
    ]
    match form.suffix:
        case "jsonl":
            return "".join(json.dumps(line) + "\n" for line in lines).encode()
        case "json":
            return json.dumps({"info": "x", "data": lines}, indent=1).encode()
        case "columns.json":
            return pd.DataFrame(lines).to_json().encode()
    separator = {"tsv": "\t", "semicolon.csv": ";"}.get(form.suffix, ",")
    end = "\r" if form.suffix == "cr.csv" else "\n"
    frame = pd.DataFrame(lines)
    text = frame.to_csv(sep=separator, index=form.suffix == "shifted.csv", lineterminator=end)
    return text.encode(form.encoding)


def flags_in(message: str) -> dict[str, str]:
    """Return the flags with values that a message advises; NAME and FILE are no values."""
    lexer = shlex.shlex(message.replace("’", ""), posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words = [word.rstrip(".,;") for word in lexer]
    return {
        flag.removeprefix("--").replace("-", "_"): value
        for flag, value in pairwise(words)
        if re.fullmatch(r"--[a-z-]+", flag) and value not in PLACEHOLDERS
    }
