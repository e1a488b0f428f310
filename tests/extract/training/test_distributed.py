"""Distributed training: several processes train the same model as one and write the same spaces."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from extract.run import extract
from extract.towers.encoders import load_text_encoder, save_text_encoder
from features.hdf5_store import read_features

ROOT = Path(__file__).parents[3]
PREPARE = """
import torch
from extract.spaces import fine_tuned, pretrained
from extract.training import distributed
from extract.config import ExtractConfig
from extract.run import extract
from pathlib import Path
torch.set_num_threads(1)
pretrained.PRETRAINED_SIZE = 48
config = ExtractConfig(**{config!r})
run = Path({run!r})
{body}
"""


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    """Settings without dropout, whose masks differ by rank.

    The image tower has a tiny learning rate. The gradients of some of its biases are only rounding
    errors, which AdamW would turn into steps of full length. Gradients have their own test.
    """
    text = load_text_encoder(Path(tiny_config.text_weights), "mean")
    for name in ("dropout", "attention_dropout"):
        setattr(text.backbone.config, name, 0.0)
    folder = tmp_path_factory.mktemp("no_dropout")
    save_text_encoder(text, folder)
    settings = {"fusion": "linear", "epochs": 2, "precision": "fp32", "folds": 1, "lr_image": 1e-7}
    return replace(tiny_config, text_weights=str(folder), **settings)


def start_ranks(count, body, config, run):
    """Run `count` processes as torchrun would; return (exit code, stdout, stderr) of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    code = PREPARE.format(config=vars(config), run=str(run), body=body)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    return [(process.returncode, *output) for process, output in zip(started, ended, strict=True)]


@pytest.fixture(scope="module")
def one_process(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("one_process") / "run"
    extract(config, run)
    return read_features(run / "features.h5")


@pytest.fixture(scope="module")
def two_ranks(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("two_ranks") / "run"
    ended = start_ranks(2, "extract(config, run)", config, run)
    assert [code for code, *_ in ended] == [0, 0], ended[0][2] + ended[1][2]
    return run, ended


def test_two_ranks_create_the_same_spaces_as_one_process(one_process, two_ranks):
    found = read_features(two_ranks[0] / "features.h5")
    assert [space.name for space in found.spaces] == [space.name for space in one_process.spaces]
    for one, other in zip(one_process.spaces, found.spaces, strict=True):
        trained = one.joint_logit is not None
        for name in ("image", "text", *(["joint_logit"] if trained else [])):
            values, expected = getattr(other, name), getattr(one, name)
            if trained:
                np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)
            else:
                np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(other.seen, one.seen)


def test_two_ranks_record_the_same_losses_as_one_process(one_process, two_ranks):
    found = read_features(two_ranks[0] / "features.h5").spaces[0].attributes["history"]
    for one, other in zip(one_process.spaces[0].attributes["history"], found, strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_gradients_equal_those_of_one_process_with_the_whole_batch(config, tmp_path):
    body = """
from dataclasses import replace
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits
from extract.towers.device import choose_machine
from extract.training.training_loop import _distribute
from extract.towers.fusion import Fusion
from extract.spaces.run_setup import load_setup
from extract.towers.joint_model import JointModel
machine = choose_machine("cpu", "fp32")
with distributed.process_group(machine.device):
    setup = load_setup(config, machine, run)
    image, text = setup.backbones.image, setup.backbones.text
    torch.manual_seed(0)
    model = JointModel(image, text, Fusion(image.dim, text.dim), machine).train()
    rows = setup.rows.labelled.nonzero()[0][:15]
    of_this_rank = rows[distributed.rank() :: distributed.world()]
    inputs, target = setup.data.inputs, torch.from_numpy(setup.rows.label[of_this_rank]).float()
    wrapped_model = _distribute(model)
    logits = wrapped_model(inputs.pixels(of_this_rank), *inputs.tokens(of_this_rank))
    loss = binary_cross_entropy_with_logits(logits, target, reduction="sum")
    (loss * distributed.world() / len(rows)).backward()
    found = {name: value.grad for name, value in model.named_parameters()}
    if distributed.first():
        save_file({k: v.contiguous() for k, v in found.items()}, f"{run}.{distributed.world()}")
"""
    for count in (1, 2):
        ended = start_ranks(count, body, config, tmp_path / "found")
        assert not any(code for code, *_ in ended), ended[0][2]
    one, two = (load_file(tmp_path / f"found.{count}") for count in (1, 2))
    assert one.keys() == two.keys()
    for name, expected in one.items():
        scale = max(expected.abs().max().item(), 1e-3)
        torch.testing.assert_close(two[name], expected, rtol=0, atol=1e-4 * scale, msg=name)


def test_only_rank_0_prints_and_writes(two_ranks):
    run, ended = two_ranks
    assert "space_0" in ended[0][2]
    assert not ended[1][2]
    assert not (run / "unfinished").exists()
    assert not list(run.rglob("*.partial"))


def test_rank_that_exits_leaves_no_file_that_looks_complete(config, tmp_path):
    body = """
def fail(*_):
    raise SystemExit("rank 1 has no memory left")
if distributed.rank() == 1:
    fine_tuned.finetune = fail
extract(config, run)
"""
    (first, _, _), (second, _, stderr) = start_ranks(2, body, config, tmp_path / "run")
    assert first != 0 and second == 1
    assert "no memory left" in stderr
    assert not list(tmp_path.rglob("*.h5"))
    assert not list(tmp_path.rglob("checkpoint.json"))
