"""Frozen spaces of CLIP, SigLIP, T5, MPNet and ViT are embedded without PyTorch as in the run."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from test_export_run import WITHOUT
from tiny_towers import write_image_model, write_text_model

from extract.run import extract
from heads.config import SUBMITTED, FitConfig, SubmitConfig
from heads.run import fit_heads, submit
from runtime.picture_opening import open_picture
from serve.config import ExportConfig
from serve.export.checked_export import export
from serve.export.onnx_spaces import embed
from serve.export.score_memes import ExportedRun
from serve.predictor import Predictor

pytestmark = [
    pytest.mark.usefixtures("quick_heads"),
    pytest.mark.skipif(find_spec("onnx") is None, reason="needs requirements-export.txt"),
]

SOURCES = {"clip": "clip", "siglip": "clip", "t5": "text", "mpnet": "text", "vit": "image"}


@pytest.fixture(scope="module")
def frozen_run(tiny_config, make_tokenizer, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    for kind, modality in SOURCES.items():
        (models / kind).mkdir()
        if modality == "image":
            write_image_model(kind, models / kind)
        else:
            write_text_model(kind, models / kind, make_tokenizer())
    prompt = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (models / "mpnet/config_sentence_transformers.json").write_text(json.dumps(prompt))
    frozen = [f"{modality}={models}/{kind}" for kind, modality in SOURCES.items()]
    run = tmp_path_factory.mktemp("frozen") / "run"
    extract(replace(tiny_config, folds=0, precision="fp32", frozen=frozen), run)
    fit_heads(FitConfig(heads="svm"), run)
    submit(SubmitConfig(ensemble="mean", out=str(run / "solution.csv")), run)
    return run


def test_run_with_frozen_spaces_scores_without_pytorch(frozen_run, tiny_sample, tmp_path):
    with (tiny_sample / "test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:10]
    rows[1]["img"], rows[2]["text"], rows[3]["text"] = "", "", rows[3]["text"] * 9
    pictures = [tiny_sample / row["img"] if row["img"] else None for row in rows]
    predictor = Predictor(frozen_run, "cpu", SUBMITTED)
    captions = [row["text"] for row in rows]
    wanted = predictor.predict(pictures, captions)
    (tmp_path / "img").symlink_to(tiny_sample / "img")
    with (tmp_path / "memes.csv").open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = export(ExportConfig(str(tmp_path / "out")), frozen_run)
    command = [sys.executable, "-c", WITHOUT, out / "score.py", tmp_path / "memes.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [float(row["probability"]) for row in csv.DictReader(io.StringIO(done.stdout))]
    # Random models know little, so that probabilities are close to each other.
    np.testing.assert_allclose(found, [one.probability for one in wanted], rtol=0, atol=1e-6)
    exported = ExportedRun(out)
    opened = [path and open_picture(path) for path in pictures]
    embedded = embed(exported.spaces, exported.stamp, opened, captions)
    expected = {space.name: space for space in predictor.embed(pictures, captions).spaces}
    assert [space.name for space in embedded.spaces] == list(expected) and len(expected) == 7
    for space in embedded.spaces:
        for name in ("image", "text"):
            one, other = getattr(space, name), getattr(expected[space.name], name)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5, err_msg=space.name)
