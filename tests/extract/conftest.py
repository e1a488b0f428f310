"""Toy towers and inputs: what the training loop and the dump need, without a network."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.meme_table import MemeTable
from extract.data.tokenisation import Captions
from extract.spaces import fine_tuned
from extract.towers.device import Machine
from extract.towers.fusion import LinearFusion
from extract.towers.joint_model import JointModel

FP32 = Machine(torch.device("cpu"), *[torch.float32] * 3)


class ToyImage(nn.Module):
    """Batch normalisation over the three channel means."""

    dim = 3

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.mix = nn.Linear(3, 3)

    def forward(self, pixels):
        return self.mix(self.norm(pixels.float().mean((2, 3)) / 255))


class ToyText(nn.Module):
    """Mean of token vectors."""

    dim = 4

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 4)

    def forward(self, ids, mask):
        weight = mask.unsqueeze(-1).float()
        return (self.words(ids) * weight).sum(1) / weight.sum(1)


@pytest.fixture
def fp32():
    return FP32


@pytest.fixture
def toy_model():
    return JointModel(ToyImage(), ToyText(), LinearFusion(3, 4), FP32)


@pytest.fixture
def make_inputs():
    """f(label, size) -> inputs whose captions give the label away: word 1 if nice, 2 if mean."""

    def make(label, size=8):
        rng = np.random.default_rng(0)
        count = len(label)
        pictures = Pictures(
            rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8),
            rng.integers(0, 2**63, count, dtype=np.uint64),
            [f"digest {place}" for place in range(count)],
            np.arange(count),
        )
        lengths = rng.integers(2, 20, count)
        tokens = [
            np.array([1 + mean, *rng.integers(3, 20, length)])
            for mean, length in zip(label, lengths, strict=True)
        ]
        return Inputs(pictures, Captions(tokens, np.arange(count), pad_id=0, cut=0))

    return make


@pytest.fixture
def make_table():
    """f(images, captions=..., split=...) -> a MemeTable of rows a.csv:2, a.csv:3, ..."""

    def make(images, captions=None, split="test"):
        count = len(images)
        splits = [split] * count if isinstance(split, str) else split
        rows = pd.DataFrame(
            {
                "id": [str(number) for number in range(count)],
                "split": splits,
                "image": [str(image) for image in images],
                "caption": captions or ["words"] * count,
                "label": np.full(count, -1, np.int8),
                "order": np.arange(count, dtype=np.int32),
                "file": "a.csv",
                "line": np.arange(count) + 2,
            }
        )
        return MemeTable(rows, "id", "label")

    return make


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(tiny_run, tmp_path / "copied")


@pytest.fixture
def data(tiny_sample, tmp_path):
    """A copy of the sample, to be changed."""
    return shutil.copytree(tiny_sample, tmp_path / "data")


@pytest.fixture
def trained(monkeypatch):
    """Weights and seed with which each training was begun. It then spoils the weights at once,
    where a true training would only take time."""
    begun = []

    def spoil(model, inputs, label, plan, config, seed, state):
        begun.append(({k: v.clone() for k, v in model.state_dict().items()}, seed))
        with torch.no_grad():
            for value in model.parameters():
                value.mul_(1.5)
        return []

    monkeypatch.setattr(fine_tuned, "finetune", spoil)
    return begun
