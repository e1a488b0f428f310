"""An exported run scores as the run does, in a process that has no PyTorch."""

import csv
import io
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from extract.predict import space_folders
from extract.spaces.checkpoint import read_checkpoint, save_checkpoint
from heads.config import SUBMITTED
from runtime.errors import UserError
from serve.config import ExportConfig
from serve.export import checked_export, tower_graphs
from serve.export.checked_export import export
from serve.export.copied_modules import ROOT
from serve.export.score_memes import ExportedRun
from serve.predictor import Predictor

needs_onnx = pytest.mark.skipif(find_spec("onnx") is None, reason="needs requirements-export.txt")

BLOCKED = ("torch", "pandas", "transformers", "timm", "h5py", "onnx", "imagehash", "typer")

WITHOUT = f"""
import importlib.abc, runpy, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def exact_run(scored_run, tmp_path_factory):
    """A copy of a run that embeds in single precision, whatever this CPU prefers."""
    run = shutil.copytree(scored_run, tmp_path_factory.mktemp("exact") / "run")
    for folder in space_folders(run / "backbones"):
        save_checkpoint(replace(read_checkpoint(folder), precision="fp32"), folder)
    return run


@pytest.fixture(scope="module")
def exported(exact_run, tmp_path_factory):
    return export(ExportConfig(str(tmp_path_factory.mktemp("exports") / "out")), exact_run)


@needs_onnx
def test_program_without_pytorch_scores_as_the_run_does(exported, exact_run, tiny_sample, tmp_path):
    with (tiny_sample / "test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:12]
    rows[3]["img"], rows[4]["text"], rows[5]["text"] = "", "", rows[5]["text"] * 9
    pictures = [tiny_sample / row["img"] if row["img"] else None for row in rows]
    predictor = Predictor(exact_run, "cpu", SUBMITTED)
    wanted = predictor.predict(pictures, [row["text"] for row in rows])
    (tmp_path / "img").symlink_to(tiny_sample / "img")
    (tmp_path / "img_broken.png").write_bytes(b"no picture")
    rows.insert(6, {**rows[0], "id": "broken", "img": "img_broken.png"})
    with (tmp_path / "memes.csv").open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    command = [sys.executable, "-c", WITHOUT, exported / "score.py", tmp_path / "memes.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "broken: " in done.stderr, done.stderr
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    assert found[6] == {"id": "broken", "probability": "", "label": ""}
    del found[6], rows[6]
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    probability = [float(row["probability"]) for row in found]
    np.testing.assert_allclose(probability, [one.probability for one in wanted], rtol=0, atol=1e-4)
    assert [row["label"] for row in found] == [str(int(one.decision)) for one in wanted]


@needs_onnx
def test_changed_file_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / "run" / "heads" / "ensemble.json").write_text("{}")
    with pytest.raises(UserError, match=r"ensemble.json is damaged .* Export the run again"):
        ExportedRun(folder)


@needs_onnx
def test_int8_is_smaller_and_scores_about_the_same(exact_run, exported, tmp_path):
    small = export(ExportConfig(str(tmp_path / "int8"), int8=True), exact_run)
    assert ExportedRun(small).manifest["int8"] and not list(small.rglob("*.fp32"))
    files = [folder / "run/backbones/pretrained/text.onnx" for folder in (small, exported)]
    assert files[0].stat().st_size < files[1].stat().st_size
    captions = ["love the way you smell today", "a caption"]
    found = [ExportedRun(folder).score([None, None], captions) for folder in (small, exported)]
    assert (found[0] != found[1]).any()
    np.testing.assert_allclose(*found, rtol=0, atol=0.05)


@needs_onnx
def test_graph_that_embeds_otherwise_is_refused_and_nothing_is_left(
    exact_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(tower_graphs, "run_graph", lambda path, inputs: np.zeros((3, 1)))
    with pytest.raises(UserError, match="model of space_0 cannot be written as ONNX"):
        export(ExportConfig(str(tmp_path / "out")), exact_run)
    assert not list(tmp_path.iterdir())


def test_missing_package_is_named(scored_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-export\.txt"):
        export(ExportConfig(str(tmp_path / "out")), scored_run)


def test_folder_that_is_not_empty_is_refused(scored_run, tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UserError, match="is not empty"):
        export(ExportConfig(str(tmp_path)), scored_run)


def test_unfinished_run_is_refused_first(tmp_path):
    with pytest.raises(UserError, match="extract"):
        export(ExportConfig(str(tmp_path / "out")), tmp_path / "no_run")
    with pytest.raises(UserError, match="--out DIR"):
        ExportConfig()


def test_requirements_name_the_packages_that_are_checked():
    text = (ROOT / checked_export.INSTALL.split()[-1]).read_text()
    assert "onnx==" in text and "onnxruntime==" in text
