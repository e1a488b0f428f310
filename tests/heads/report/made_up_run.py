"""A small finished run with memes that a person could look at."""

import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from PIL import Image

from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime.json_files import write_json

HISTORY = [
    {"epoch": n, "train_loss": 1 / n, "monitored_loss": 0.7, "monitored_accuracy": 0.6, "best": b}
    for n, b in ((1, 0), (2, 1), (3, 0))
]
HOSTILE = (
    '<script>alert("1")</script> & <img src=x onerror=alert(2)> {{ 7 * 7 }} | `x` [y](http://z)'
)


def describe(folder, features):
    """What extract leaves beside features.h5; the first memes' pictures are at fault."""
    (folder / "img").mkdir(exist_ok=True)
    rows, memes = features.rows, []
    for number, name in enumerate(rows.id):
        path = folder / "img" / f"{name}.png"
        Image.new("RGB", (40, 30), (number % 256, 90, 160)).save(path)
        memes.append(
            {"id": name, "split": rows.split[number], "caption": HOSTILE, "image": str(path)}
        )
    lines = [json.dumps(meme, ensure_ascii=False) for meme in memes]
    (folder / "memes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "data.json", facts(features))


def facts(features):
    """data.json, with numbers that only have to be there."""
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
        "remarks": [f"train.csv: dropped <b>{HOSTILE}</b>"],
        "device": "cpu",
        "seconds": {space.name: 1.5 for space in features.spaces},
        "versions": {"torch": "0"},
    }


def finish(folder, features, heads="linear,knn"):
    """Run stage two on planted features and describe them as stage one would."""
    spaces = [
        replace(space, attributes={"name": space.name, "history": HISTORY})
        if space.name.startswith("space_")
        else space
        for space in features.spaces
    ]
    features = replace(features, spaces=spaces)
    folder.mkdir(parents=True, exist_ok=True)
    planted.write(folder / "features.h5", features)
    describe(folder, features)
    with pytest.MonkeyPatch.context() as patch:
        planted.hurry(patch.setattr)
        fit_heads(FitConfig(heads), folder)
        submit(SubmitConfig(out=str(folder / "solution.csv")), folder)
    return folder


def silence(folder, names):
    """Make heads say the same of every meme."""
    for name in names:
        path = folder / "heads" / name / "probabilities.npz"
        with np.load(path, allow_pickle=False) as arrays:
            flat = {key: np.where(np.isnan(values), np.nan, 0.4) for key, values in arrays.items()}
        np.savez(path, **flat)
