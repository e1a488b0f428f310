"""Check that the pretrained weights exist and can be loaded. Downloads nothing."""

from collections.abc import Callable
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from rich.filesize import decimal

from extract.config import ExtractConfig
from extract.data.read_captions import load_reader
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.frozen_sources import parse_frozen
from extract.spaces.frozen import load_frozen_towers
from extract.towers.encoders import ImageEncoder, TextEncoder
from extract.towers.hub_download import is_cached
from extract.towers.pretrained_weights import (
    HUB_IMAGE,
    HUB_TEXT,
    Backbones,
    find_model,
    load_image_backbone,
    load_text_backbone,
)
from runtime.errors import UserError

HUB_TIMEOUT = 5.0
"""Seconds to wait for the hub's answer."""

OTHER_SOURCES = (
    "run once with network access (the cache is HF_HOME), or pass --weights bundled, or "
    "--image-weights DIR --text-weights DIR"
)


def check_weights(config: ExtractConfig) -> tuple[Backbones | None, list[Finding]]:
    """Load both encoders if they are on this machine; return them and a finding for each."""
    weights, pooling = config.weights, config.text_pooling
    image_revision, text_revision = config.image_revision, config.text_revision
    image, image_finding = _check(
        "image weights",
        (HUB_IMAGE, image_revision) if weights == "hub" and not config.image_weights else None,
        lambda: load_image_backbone(
            weights, config.image_weights, image_revision, cached_only=True
        ),
    )
    text, text_finding = _check(
        "text weights",
        (HUB_TEXT, text_revision) if weights == "hub" and not config.text_weights else None,
        lambda: load_text_backbone(
            weights, config.text_weights, pooling, text_revision, cached_only=True
        ),
    )
    both = Backbones(image[0], text[0], image[1], text[1]) if image and text else None
    return both, [image_finding, text_finding]


def load_frozen(
    config: ExtractConfig,
) -> tuple[list[tuple[ImageEncoder | None, TextEncoder | None]], list[Finding]]:
    """Load the models of `--frozen` that are on this machine; return them and their findings."""
    loaded, findings = [], []
    for source in parse_frozen(config.frozen):
        name = f"frozen {source.name}"
        try:
            folder, origin = find_model(source.model, "--frozen", cached_only=True)
            towers = load_frozen_towers(source, folder)
        except UserError as error:
            findings.append(Finding(FAIL, name, str(error)))
            continue
        loaded.append(towers)
        widths = " and ".join(f"{tower.dim}-d" for tower in towers if tower)
        findings.append(Finding(OK, name, f"{origin['name']}, {widths}"))
    return loaded, findings


def check_reader() -> Finding:
    """Check that captions can be read off pictures."""
    try:
        load_reader()
    except UserError as error:
        return Finding(FAIL, "caption reader", str(error))
    return Finding(OK, "caption reader", "loaded; its time is not part of the estimate")


def _check(
    name: str,
    repository: tuple[str, str] | None,
    load: Callable[[], tuple[Any, dict[str, str]]],
) -> tuple[tuple[Any, dict[str, str]] | None, Finding]:
    """Call `load`, unless the weights are in a hub repository, revision that is not cached."""
    if repository and not is_cached(*repository):
        return None, _check_download(name, *repository)
    try:
        loaded = load()
    except UserError as error:
        return None, Finding(FAIL, name, str(error))
    except ImportError as error:
        return None, Finding(FAIL, name, str(error), "pip install -r requirements.txt")
    encoder, origin = loaded
    return loaded, Finding(OK, name, f"{origin['name']}, {encoder.dim}-d")


def _check_download(name: str, repository: str, revision: str) -> Finding:
    """Check whether the hub can be reached, and how large the weights are."""
    try:
        url = hf_hub_url(repository, "model.safetensors", revision=revision)
        size = get_hf_file_metadata(url, timeout=HUB_TIMEOUT).size
    except Exception as error:  # the hub's client raises exceptions of its HTTP library
        reason = f"{type(error).__name__}"
        found = f"{repository} is not in the cache, and the hub cannot be reached ({reason})"
        return Finding(FAIL, name, found, OTHER_SOURCES)
    found = f"{repository} is not in the cache yet: extract will download {decimal(size or 0)}"
    advice = "memory, disk and time can only be checked after the download"
    return Finding(WARNING, name, found, advice)
