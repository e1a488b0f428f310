"""Fixtures: small models and inputs, copies of a run and its data, a replacement of training."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures
from extract.data.tokenisation import Captions
from extract.spaces import fine_tuned
from extract.tables.meme_table import MemeTable
from extract.towers.device import Machine
from extract.towers.fusion import Fusion
from extract.towers.joint_model import JointModel

FP32 = Machine(torch.device("cpu"), *[torch.float32] * 3)


class ToyImage(nn.Module):
    """Frozen batch normalisation of the three channel means, then a linear layer."""

    dim = 3

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.mix = nn.Linear(3, 3)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, pixels):
        return self.mix(self.norm(pixels.float().mean((2, 3)) / 255))


class ToyText(nn.Module):
    """Mean of token embeddings."""

    dim = 4

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(20, 4)

    def forward(self, ids, mask):
        weight = mask.unsqueeze(-1).float()
        return (self.embeddings(ids) * weight).sum(1) / weight.sum(1)


@pytest.fixture
def fp32():
    return FP32


@pytest.fixture
def toy_model():
    return JointModel(ToyImage(), ToyText(), Fusion(3, 4), FP32)


@pytest.fixture
def make_inputs():
    """Return f(label, size) -> inputs. The first token of a caption is its label plus 1."""

    def make(label, size=8):
        rng = np.random.default_rng(0)
        count = len(label)
        pictures = Pictures(
            rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8),
            rng.integers(0, 2**63, count, dtype=np.uint64),
            [f"digest {number}" for number in range(count)],
            np.arange(count),
        )
        lengths = rng.integers(2, 20, count)
        tokens = [
            np.array([1 + mean, *rng.integers(3, 20, length)])
            for mean, length in zip(label, lengths, strict=True)
        ]
        return Inputs(pictures, Captions(tokens, np.arange(count), pad_id=0, truncated=0))

    return make


@pytest.fixture
def make_table():
    """Return f(images, captions=..., split=...) -> MemeTable with the rows a.csv:2, a.csv:3, ..."""

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
    """Return a copy of the finished run, which a test may change."""
    return shutil.copytree(tiny_run, tmp_path / "copied")


@pytest.fixture
def data(tiny_sample, tmp_path):
    """Return a copy of the sample, which a test may change."""
    return shutil.copytree(tiny_sample, tmp_path / "data")


@pytest.fixture
def fake_training(monkeypatch):
    """Replace training by a multiplication of all weights, which is faster.

    Returns a list of the initial weights and the seed of each training.
    """
    calls = []

    def multiply_weights(model, inputs, label, plan, config, seed, state):
        calls.append(({k: v.clone() for k, v in model.state_dict().items()}, seed))
        with torch.no_grad():
            for value in model.parameters():
                value.mul_(1.5)
        return []

    monkeypatch.setattr(fine_tuned, "finetune", multiply_weights)
    return calls
