"""Eleven memes, written in the layouts of published data sets, and what is read from them."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from extract.config import ExtractConfig
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from runtime.errors import UserError

SPLITS = {"train": 6, "val": 2, "test": 3}
MEMES = [
    {"split": split, "name": f"{number:03d}", "text": f"words of {split} {number}", "label": n % 2}
    for first, (split, count) in zip((1, 7, 9), SPLITS.items(), strict=True)
    for n, number in enumerate(range(first, first + count))
]

FLAG = re.compile(r"""--([a-z-]+) ("[^"]+"|'[^']+'|[^ ,.;:]+(?:[.,/][^ ,.;:]+)*)""")


def rows_of(split):
    return [meme for meme in MEMES if meme["split"] == split]


def save_picture(path, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    number = int(path.stem) if path.stem.isdecimal() else 0
    Image.new("RGB", size, (number, 2 * number, 99)).save(path)


def write_csv(path, rows, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False, **options)


def write_standard(folder, image=lambda meme: f"img/{meme['name']}.png", pictures="img"):
    """Write train.csv, val.csv, test.csv; and the pictures unless `pictures` is None."""
    for split in SPLITS:
        rows = [
            {"id": m["name"], "img": image(m), "text": m["text"], "label": m["label"]}
            for m in rows_of(split)
        ]
        write_csv(folder / f"{split}.csv", rows)
    for meme in MEMES if pictures else ():
        save_picture(folder / pictures / f"{meme['name']}.png")
    return folder


def read(data, **flags):
    config = ExtractConfig(data=str(data), **flags)
    table, problems, notes = read_memes(data, table_options(config))
    return resolve_bad_rows(table, problems, config.on_bad_rows)[0].rows, " ".join(notes)


def error(data, **flags):
    with pytest.raises(UserError) as caught:
        read(data, **flags)
    return str(caught.value)


def check(rows, splits=SPLITS):
    """Check the splits, labels, captions and pictures of MEMES."""
    assert rows["split"].value_counts().to_dict() == splits
    labels = rows["label"][rows["split"] == "train"].tolist()
    assert labels[:6] == [meme["label"] for meme in rows_of("train")]
    assert rows["caption"].str.startswith("words of").all()
    assert all(Path(path).is_file() for path in rows["image"])


def rewrite(folder, change, splits=SPLITS, **options):
    """Change the tables of `write_standard`: change(frame, split) -> frame."""
    for split in splits:
        path = folder / f"{split}.csv"
        change(pd.read_csv(path, dtype=str), split).to_csv(path, index=False, **options)
    return folder


def follow(message, data, *names):
    """Read the data with the flags of these names that the message advises."""
    flags = {name.replace("-", "_"): shlex.split(value)[0] for name, value in FLAG.findall(message)}
    assert set(names) <= flags.keys(), message
    assert len(message.splitlines()) <= 12, message
    return read(data, **{name: flags[name] for name in names})[0]
