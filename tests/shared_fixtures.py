"""Shared fixtures: seeds, tiny weights, a small sample, commands, and runs after either stage."""

import io
import json
import os
import random
import shutil
import signal
import string
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from fast_settings import apply_fast_settings
from quick_heads import apply_quick_settings, skip_plots
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertModel

import pipeline
from extract.config import ExtractConfig
from extract.run import extract
from extract.sample import write_sample
from extract.towers.encoders import ImageEncoder, TextEncoder, save_image_encoder, save_text_encoder
from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit

apply_fast_settings()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = string.ascii_lowercase + string.digits


def seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def seeded():
    seed()


@pytest.fixture(scope="session")
def make_tokenizer():
    """f() -> a character-level WordPiece tokenizer with BERT's special tokens."""

    def make():
        tokens = [*SPECIAL, *string.punctuation, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        ends = [(token, vocabulary[token]) for token in ("[SEP]", "[CLS]")]
        tokenizer.post_processor = processors.BertProcessing(*ends)
        return tokenizer

    return make


@pytest.fixture(scope="session")
def make_image_encoder():
    """f() -> timm's smallest EfficientNet with random weights, 256-d."""
    return lambda: ImageEncoder(timm.create_model("test_efficientnet", num_classes=0)).eval()


@pytest.fixture(scope="session")
def make_text_encoder(make_tokenizer):
    """f(pooling="mean") -> a DistilBERT of two layers with random weights, 32-d."""

    def make(pooling="mean"):
        tokenizer = make_tokenizer()
        config = DistilBertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            dim=32,
            hidden_dim=64,
            n_layers=2,
            n_heads=2,
            max_position_embeddings=64,
        )
        backbone = DistilBertModel._from_config(config, attn_implementation="sdpa")
        return TextEncoder(backbone, tokenizer, pooling).eval()

    return make


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory, make_image_encoder, make_text_encoder):
    """Folder with image/ and text/, in the layout of the hub."""
    seed()
    folder = tmp_path_factory.mktemp("weights")
    (folder / "image").mkdir()
    save_image_encoder(make_image_encoder(), folder / "image")
    save_text_encoder(make_text_encoder(), folder / "text")
    return folder


@pytest.fixture(scope="session")
def tiny_sample(tmp_path_factory):
    """Folder with a sample of 160 memes."""
    return write_sample(tmp_path_factory.mktemp("sample") / "memes", memes=160)


@pytest.fixture(scope="session")
def tiny_config(tiny_sample, tiny_weights):
    """Settings of `tiny_run`, whose spaces are space_0, space_1, pretrained and lexical."""
    return ExtractConfig(
        data=str(tiny_sample),
        image_weights=str(tiny_weights / "image"),
        text_weights=str(tiny_weights / "text"),
        image_size=32,
        max_tokens=32,
        folds=2,
        epochs=2,
        device="cpu",
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_config):
    """Folder of a run after stage one. Copy it before you change it."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    extract(tiny_config, run)
    return run


@pytest.fixture(scope="session")
def scored_run(tiny_run, tmp_path_factory):
    """Folder of `tiny_run` after submit: the mean of two heads. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("scored")
    run = shutil.copytree(tiny_run, folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        apply_quick_settings(patch.setattr)
        fit_heads(FitConfig(heads="linear,svm"), run)
        submit(SubmitConfig(ensemble="mean", out=str(folder / "solution.csv")), run)
    return run


@pytest.fixture(scope="module")
def quick_heads():
    """Fit heads with fewer candidates, trees and resamples in all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        apply_quick_settings(patch.setattr)
        yield


@pytest.fixture(scope="session")
def forked_command():
    """f(cwd, args, operation, seconds, max_file_bytes, sent, out, err, script).

    forked_commands.py documents the arguments. Returns the exit status, the number of file
    operations, and the connections that were opened.
    """
    # Threads do not survive a fork.
    single_threaded = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    online = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forked_commands.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=online | single_threaded,
    )

    def run(
        cwd, args, operation=None, seconds=None, max_file_bytes=None, sent=signal.SIGKILL,
        out="log.txt", err="log.txt", script=None,
    ):  # fmt: skip
        task = {
            "cwd": str(cwd),
            "args": [*map(str, args)],
            "operation": operation,
            "seconds": seconds,
            "max_file_bytes": max_file_bytes,
            "signal": sent,
            "out": str(out),
            "err": str(err),
            "script": script and str(script),
        }
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return answer["status"], answer["operations"], answer["connections"]

    with process:
        yield run


@pytest.fixture
def no_plots(monkeypatch):
    """Write reports without plots, which take most of the time."""
    skip_plots(monkeypatch.setattr)


@pytest.fixture(scope="session")
def command():
    """f(*args, cwd) -> returncode, stdout, stderr of pipeline.py, called in this process."""

    def run(*arguments, cwd):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr("sys.argv", ["pipeline.py", *map(str, arguments)])
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.stderr", err)
            code = pipeline.main()
        for stream in (out, err):
            stream.seek(0)
        return SimpleNamespace(returncode=code, stdout=out.read(), stderr=err.read())

    return run
