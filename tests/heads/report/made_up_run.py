"""Write a small finished run with made-up memes, including hostile captions."""

import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from PIL import Image
from quick_heads import apply_quick_settings

from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime.files.json_files import write_json

HISTORY = [
    {"epoch": n, "train_loss": 1 / n, "eval_loss": 0.7, "eval_accuracy": 0.6, "best": b}
    for n, b in ((1, 0), (2, 1), (3, 0))
]
HOSTILE_CAPTION = (
    '<script>alert("1")</script> & <img src=x onerror=alert(2)> {{ 7 * 7 }} | `x` [y](http://z)'
)


def write_extract_files(folder, features):
    """Write the files of extract other than features.h5: pictures, memes.jsonl and data.json."""
    (folder / "img").mkdir(exist_ok=True)
    rows, memes = features.rows, []
    for number, name in enumerate(rows.id):
        path = folder / "img" / f"{name}.png"
        Image.new("RGB", (40, 30), (number % 256, 90, 160)).save(path)
        memes.append(
            {
                "id": name,
                "split": rows.split[number],
                "caption": HOSTILE_CAPTION,
                "image": str(path),
            }
        )
    lines = [json.dumps(meme, ensure_ascii=False) for meme in memes]
    (folder / "memes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "data.json", data_json(features))


def data_json(features):
    """Contents of data.json; most numbers are placeholders."""
    rows = features.rows
    splits = {
        name: {
            "rows": int((rows.split == name).sum()),
            "positive": int(((rows.split == name) & (rows.label == 1)).sum()),
            "negative": int(((rows.split == name) & (rows.label == 0)).sum()),
        }
        for name in ("train", "val", "test")
    }
    near = ("hash_radius", "groups", "groups_shared", "rows_sharing", "largest")
    return {
        "stamp": features.attributes["stamp"],
        "splits": splits,
        "pictures": len(rows),
        "captions": 1,
        "caption_tokens": {"p5": 3, "p50": 4, "p95": 5, "p100": 6},
        "near_duplicates": dict.fromkeys((*near, "test_rows_near_labelled"), 8),
        "contradictions": [["00001", "00002"]] * 12,
        "remarks": [f"train.csv: dropped <b>{HOSTILE_CAPTION}</b>"],
        "device": "cpu",
        "seconds": {space.name: 1.5 for space in features.spaces},
        "versions": {"torch": "0"},
    }


def write_finished_run(folder, features, heads="linear,knn"):
    """Write planted features and the other files of extract, then run stage two on them."""
    spaces = [
        replace(space, attributes={"name": space.name, "history": HISTORY})
        if space.name.startswith("space_")
        else space
        for space in features.spaces
    ]
    features = replace(features, spaces=spaces)
    folder.mkdir(parents=True, exist_ok=True)
    planted.write(folder / "features.h5", features)
    write_extract_files(folder, features)
    with pytest.MonkeyPatch.context() as patch:
        apply_quick_settings(patch.setattr)
        fit_heads(FitConfig(heads), folder)
        submit(SubmitConfig(out=str(folder / "solution.csv")), folder)
    return folder


def make_constant(folder, names):
    """Make heads predict the same probability for every meme."""
    for name in names:
        path = folder / "heads" / name / "probabilities.npz"
        with np.load(path, allow_pickle=False) as arrays:
            constant = {
                key: np.where(np.isnan(values), np.nan, 0.4) for key, values in arrays.items()
            }
        np.savez(path, **constant)
