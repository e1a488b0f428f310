"""Checks of disk and memory, and the estimated duration of a run."""

import copy
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from extract.config import ExtractConfig
from extract.data.tokenisation import tokenise
from extract.doctor import check_disk_memory, check_time
from extract.doctor.finding import FAIL, OK, WARNING
from extract.towers.device import Machine
from extract.towers.fusion import FUSIONS
from extract.towers.joint_model import JointModel
from features.feature_table import Rows

GB = 10**9
Usage = namedtuple("Usage", "free")


@pytest.fixture
def model(make_image_encoder, make_text_encoder, fp32):
    image, text = make_image_encoder(), make_text_encoder()
    return JointModel(image, text, FUSIONS["interaction"](image.dim, text.dim), fp32)


@pytest.fixture
def captions(model):
    texts = [f"a caption with {n} words" * (1 + n % 3) for n in range(50)]
    return tokenise(texts, model.text.tokenizer, 64, model.text.pad_id)


@pytest.fixture
def four_memes(captions):
    return check_time.synthetic_inputs(captions, check_time.longest_captions(captions, 4), 32)


RUN_SIZE = check_disk_memory.RunSize(rows=160, pictures=140, image_size=32, folds=2, batch_size=32)


def test_disk_need_is_that_of_a_run(model, tiny_run, tmp_path, monkeypatch):
    used = (tiny_run / "features.h5").stat().st_size * 2
    towers = (tiny_run / "backbones").rglob("*.safetensors")
    used += sum(path.stat().st_size for path in towers)
    for free, state in ((0.8 * used, FAIL), (1.1 * used, WARNING), (1.6 * used, OK)):
        monkeypatch.setattr(
            check_disk_memory.shutil, "disk_usage", lambda _, free=free: Usage(int(free))
        )
        assert (
            check_disk_memory.check_disk(tmp_path / "runs/r", model, [], RUN_SIZE).state == state
        ), free


def test_pictures_from_tables_are_counted_until_they_are_unpacked(model, tmp_path):
    packed = replace(RUN_SIZE, unpacked_bytes=10**18)
    found = check_disk_memory.check_disk(tmp_path, model, [], packed)
    assert found.state == FAIL and "of pictures from the tables" in found.found
    (tmp_path / "pictures").mkdir()
    assert "of pictures" not in check_disk_memory.check_disk(tmp_path, model, [], packed).found


def test_pixels_too_large_for_memory_need_space_in_the_temporary_folder(
    model, tmp_path, monkeypatch
):
    monkeypatch.setattr(check_disk_memory.shutil, "disk_usage", lambda _: Usage(5 * GB))
    monkeypatch.setattr(check_disk_memory.tempfile, "gettempdir", lambda: str(tmp_path))
    large = replace(RUN_SIZE, pictures=10_000_000)
    found = check_disk_memory.check_disk(tmp_path / "r", model, [], large)
    assert found.state == FAIL and "30.7 GB of pixels" in found.found
    assert found.found.count("needed") == 1


def test_memory_need_is_compared_with_available_memory(model, four_memes, monkeypatch):
    for free, state in ((64 * GB, OK), (1000, FAIL)):
        monkeypatch.setattr(check_disk_memory, "available_memory", lambda free=free: free)
        found = check_disk_memory.check_memory(model, four_memes, RUN_SIZE)
        assert found.state == state and bool(found.advice) == (state != OK)


def test_estimated_activations_are_those_of_a_whole_batch(model, captions, four_memes):
    batch = check_time.synthetic_inputs(captions, check_time.longest_captions(captions, 32), 32)
    estimated, counted = (
        check_disk_memory.activation_bytes(model, four_memes, 32),
        check_disk_memory._saved_bytes(model, batch, 32),
    )
    assert 0.98 < estimated / counted < 1.02
    assert counted > 32 * 50_000


def test_duration_of_a_run_is_estimated(model, captions):
    rows = Rows(None, np.array(["train"] * 50, object), np.arange(50) % 2, None, None, None)
    config = ExtractConfig(image_size=32, folds=2, batch_size=8)
    found = check_time.check_time(model, [], captions, rows, 50, config)
    assert found.state == OK and "2 x 3 epochs" in found.found


def test_training_that_diverges_or_raises_fails(model, captions, monkeypatch):
    rows = Rows(None, np.array(["train"] * 50, object), None, None, None, None)
    config = ExtractConfig(image_size=32, batch_size=8)
    diverging = replace(config, lr_image=float("inf"))
    found = check_time.check_time(copy.deepcopy(model), [], captions, rows, 50, diverging)
    assert found.state == FAIL and "diverged" in found.found

    def broken(*_, **__):
        raise RuntimeError("out of memory\nlong trace")

    monkeypatch.setattr(check_time, "finetune", broken)
    found = check_time.check_time(model, [], captions, rows, 50, config)
    assert found.state == FAIL and found.found.endswith("out of memory")


@pytest.mark.parametrize(
    ("splits", "folds", "wanted"),
    [("train val", 3, 400), ("train val", 1, 100), ("train", 1, 80), ("train val", 0, 0)],
)
def test_fitted_rows_are_those_of_all_pairs_of_backbones(splits, folds, wanted):
    split = np.repeat(np.array([*splits.split(), "test"], object), 100)
    rows = Rows(None, split, None, None, None, None)
    assert check_time.fitted_rows(rows, folds) == pytest.approx(wanted)


def test_gpu_memory_is_checked_separately(model, four_memes, monkeypatch):
    gpu = Machine(SimpleNamespace(type="cuda"), *[None] * 3)
    monkeypatch.setattr(check_disk_memory, "activation_bytes", lambda *_: GB)
    monkeypatch.setattr(check_disk_memory.torch.cuda, "mem_get_info", lambda _: (GB, 8 * GB))
    monkeypatch.setattr(check_disk_memory, "available_memory", lambda: 64 * GB)
    model.machine = gpu
    found = check_disk_memory.check_memory(model, four_memes, RUN_SIZE)
    assert found.state == FAIL and "1.0 GB free on" in found.found
