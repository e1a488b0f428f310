"""Of a repository in two layouts, weights are downloaded once, and never pickles."""

import errno
import json
import socket
from fnmatch import fnmatch
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from extract.towers import hub_download
from extract.towers.hub_download import download
from runtime.errors import UserError

TRANSFORMERS = {"config.json": {"model_type": "clip"}, "model.safetensors": ""}
TIMM = {"config.json": {"architecture": "vit"}, "model.safetensors": ""}
OPEN_CLIP = {"open_clip_config.json": {"model_cfg": {}}, "open_clip_model.safetensors": ""}
PICKLES = {"pytorch_model.bin": "", "open_clip_pytorch_model.bin": ""}
OTHER = {"tokenizer.json": {}, "modules.json": [], "README.md": ""}
DENSE = {"2_Dense/config.json": {}, "2_Dense/model.safetensors": ""}


@pytest.fixture
def make_hub(tmp_path, monkeypatch):
    """f(files) -> revisions that are asked for; the hub's client copies the files that match."""

    def make(files):
        asked = []

        def snapshot_download(repository, *, revision, allow_patterns, local_files_only):
            asked.append(revision)
            folder = tmp_path / "commit"
            for name, content in files.items():
                if any(fnmatch(name, pattern) for pattern in allow_patterns):
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_text(json.dumps(content))
            return str(folder)

        monkeypatch.setattr(hub_download, "snapshot_download", snapshot_download)
        return asked

    return make


def names(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("other", [{}, TIMM])
def test_weights_of_open_clip_are_downloaded_at_the_same_commit(make_hub, other):
    asked = make_hub(OPEN_CLIP | other | PICKLES | OTHER)
    found = names(download("timm/ViT-B-16-SigLIP", "main", cached_only=False))
    assert found == {*OPEN_CLIP, *other, "tokenizer.json", "modules.json"}
    assert asked == ["main", "commit"]


def test_weights_of_open_clip_are_not_downloaded_beside_those_of_transformers(make_hub):
    asked = make_hub(OPEN_CLIP | TRANSFORMERS | PICKLES)
    found = names(download("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "main", cached_only=False))
    assert found == {*TRANSFORMERS, "open_clip_config.json"}
    assert asked == ["main"]


def test_dense_modules_are_downloaded(make_hub):
    make_hub(TRANSFORMERS | OTHER | DENSE | {"2_Dense/pytorch_model.bin": ""})
    found = names(download("sentence-transformers/LaBSE", "main", cached_only=False))
    assert {*DENSE, "modules.json"} <= found
    assert not any(name.endswith(".bin") for name in found)


def test_full_disk_is_not_taken_for_a_missing_network(monkeypatch):
    def full(*arguments, **settings):
        raise OSError(errno.ENOSPC, "No space left on device", "cache")

    monkeypatch.setattr(hub_download, "snapshot_download", full)
    with pytest.raises(OSError, match="No space left"):
        download("timm/ViT-B-16-SigLIP", "main", cached_only=False)


@pytest.mark.parametrize("proxies", [{}, {"https": "http://proxy:3128"}])
def test_without_a_network_the_hub_is_not_asked_again_and_again(monkeypatch, proxies):
    asked = []

    def unknown(*arguments):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def snapshot_download(repository, *, local_files_only, **settings):
        asked.append(local_files_only)
        raise LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(hub_download, "getproxies", lambda: proxies)
    monkeypatch.setattr(hub_download, "snapshot_download", snapshot_download)
    with pytest.raises(UserError, match="Run once with network access"):
        download("timm/any", "main", cached_only=False)
    assert asked == [not proxies]
