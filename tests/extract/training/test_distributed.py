"""Distributed training: several processes train the same model as one and write the same spaces."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits

from extract.run import extract
from extract.towers.encoders import load_text_encoder, save_text_encoder
from features.hdf5_store import read_features


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


@pytest.fixture(scope="module")
def ranks(config, tmp_path_factory, forked_command):
    """f(job) -> the folder of a job of forked_ranks.py, exit codes and stderr of its ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "config.json").write_text(json.dumps(vars(config)))
    script = Path(__file__).with_name("forked_ranks.py")
    assert forked_command(folder, [folder], script=script)[0] == 0, (folder / "log.txt").read_text()
    codes = json.loads((folder / "codes.json").read_text())

    def result(job):
        err = [path.read_text() for path in sorted((folder / job).glob("*.err"))]
        return SimpleNamespace(folder=folder / job, codes=codes[job], err=err)

    return result


@pytest.fixture(scope="module")
def one_process(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("one_process") / "run"
    # More threads round differently, and the forked processes have one.
    with threadpool_limits(1):
        extract(config, run)
    return read_features(run / "features.h5")


@pytest.fixture(scope="module")
def two_ranks(ranks):
    found = ranks("two ranks")
    assert found.codes == [0, 0], found.err
    return found


def test_two_ranks_create_the_same_spaces_as_one_process(one_process, two_ranks):
    found = read_features(two_ranks.folder / "run/features.h5")
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
    found = read_features(two_ranks.folder / "run/features.h5").spaces[0].attributes["history"]
    for one, other in zip(one_process.spaces[0].attributes["history"], found, strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_gradients_equal_those_of_one_process_with_the_whole_batch(ranks):
    jobs = [ranks(f"gradients of {count}") for count in (1, 2)]
    assert [job.codes for job in jobs] == [[0], [0, 0]], [job.err for job in jobs]
    one, two = (load_file(job.folder / "gradients") for job in jobs)
    assert one.keys() == two.keys()
    for name, expected in one.items():
        scale = max(expected.abs().max().item(), 1e-3)
        torch.testing.assert_close(two[name], expected, rtol=0, atol=1e-4 * scale, msg=name)


def test_only_rank_0_prints_and_writes(two_ranks):
    assert "space_0" in two_ranks.err[0]
    assert not two_ranks.err[1]
    assert not (two_ranks.folder / "run/unfinished").exists()
    assert not list(two_ranks.folder.rglob("*.partial"))


def test_rank_that_exits_leaves_no_file_that_looks_complete(ranks):
    found = ranks("rank that exits")
    assert found.codes[0] != 0 and found.codes[1] == 1
    assert "no memory left" in found.err[1]
    assert not list(found.folder.rglob("*.h5"))
    assert not list(found.folder.rglob("checkpoint.json"))
