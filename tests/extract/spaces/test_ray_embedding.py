"""Processes of Ray embed blocks of rows: the bits of one process, and nothing is left out."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from extract.data.load_data import load_data
from extract.data.pictures_on_disk import on_disk
from extract.spaces import ray_embedding
from extract.spaces.ray_embedding import SentModel, choose_embed, make_embedder
from extract.tables.read_memes import read_memes
from extract.towers.device import choose_machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from extract.training.embedding import embed_in_memory
from runtime.cluster.engine_config import EngineConfig
from runtime.errors import UserError

PIPELINE = Path(__file__).parents[3] / "pipeline.py"
RAY = EngineConfig(engine="ray")


@pytest.fixture
def model(make_image_encoder, make_text_encoder):
    image, text = make_image_encoder(), make_text_encoder("cls")
    image.min_size = 40
    fusion = FUSIONS["interaction"](image.dim, text.dim)
    return JointModel(image, text, fusion, choose_machine("cpu", "fp32"))


@pytest.fixture
def memes(tiny_sample, model):
    reading = read_memes(tiny_sample)
    return load_data(reading, 32, "bicubic", 32, model.text, "stop").subset(slice(0, 50))


@pytest.fixture
def ray(monkeypatch):
    """Ray of one process, whose tasks end in the reverse order."""
    monkeypatch.setattr(ray_embedding, "BLOCK_ROWS", 16)

    def answers(make, arguments, tasks, workers, use_gpus):
        return map(make(*arguments), reversed(range(tasks)))

    monkeypatch.setattr(ray_embedding, "answers_of_workers", answers)


@pytest.mark.usefixtures("ray")
def test_blocks_have_the_bits_of_one_process(model, memes):
    expected = embed_in_memory(model, memes.inputs)
    found = {name: np.full_like(values, np.nan) for name, values in expected.items()}

    def write(name, rows, values):
        found[name][rows] = values

    choose_embed(RAY)(model, memes.inputs, write, lambda name, rows: found[name][rows])
    assert found.keys() == {"image", "text", "joint_logit"}
    for name, values in expected.items():
        assert values.tobytes() == found[name].tobytes()


def test_block_that_ray_lost_stops_the_command(model, memes, monkeypatch):
    monkeypatch.setattr(ray_embedding, "answers_of_workers", lambda *arguments: iter(()))
    with pytest.raises(UserError, match="lost 1 of 1 blocks"):
        choose_embed(RAY)(model, memes.inputs, None, None)


def test_machine_without_the_pictures_does_not_take_them_for_grey_ones(model, memes):
    paths = memes.table.rows["image"].tolist()
    paths[3] = "/other/machine/3.png"
    inputs = replace(memes.inputs, pictures=on_disk(memes.inputs.pictures, paths, 32, "bicubic"))
    with pytest.raises(UserError, match=r"/other/machine/3\.png"):
        make_embedder(SentModel.pack(model), inputs)(0)


def test_default_is_this_process():
    assert choose_embed(EngineConfig()) is None


@pytest.mark.skipif(find_spec("ray") is None, reason="needs requirements-scale.txt")
def test_extract_writes_the_same_file(tiny_sample, tiny_weights, tmp_path):
    weights = tiny_weights / "image", tiny_weights / "text"
    settings = f"--image-weights {weights[0]} --text-weights {weights[1]} --image-size 32 --folds 0"
    settings += " --embedding-dtype float16"
    for engine in ("local", "ray"):
        flags = f"--run {engine} --engine {engine} --device cpu {settings}".split()
        command = [sys.executable, str(PIPELINE), "extract", "--data", str(tiny_sample), *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    local, ray = (tmp_path / "runs" / name / "features.h5" for name in ("local", "ray"))
    assert local.read_bytes() == ray.read_bytes()
