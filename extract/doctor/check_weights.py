"""Are the weights there, and can they be loaded? Nothing is downloaded."""

from collections.abc import Callable
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from rich.filesize import decimal

from extract.config import ExtractConfig
from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.towers.hub_download import is_cached
from extract.towers.pretrained_weights import HUB_IMAGE, HUB_TEXT, Backbones, load_image, load_text
from runtime.errors import UserError

PATIENCE = 5.0
"""Seconds to wait for the hub's answer."""

WAYS_OUT = (
    "run once with network access (the cache is HF_HOME), or --weights bundled, or "
    "--image-weights DIR --text-weights DIR"
)


def check_weights(config: ExtractConfig) -> tuple[Backbones | None, list[Finding]]:
    """Load both encoders, if they can be; what was found of each."""
    weights, pooling = config.weights, config.text_pooling
    pictures, words = config.image_revision, config.text_revision
    image, found_image = _check(
        "image weights",
        (HUB_IMAGE, pictures) if weights == "hub" and not config.image_weights else None,
        lambda: load_image(weights, config.image_weights, pictures, cached_only=True),
    )
    text, found_text = _check(
        "text weights",
        (HUB_TEXT, words) if weights == "hub" and not config.text_weights else None,
        lambda: load_text(weights, config.text_weights, pooling, words, cached_only=True),
    )
    both = Backbones(image[0], text[0], image[1], text[1]) if image and text else None
    return both, [found_image, found_text]


def _check(
    name: str, source: tuple[str, str] | None, load: Callable[[], tuple[Any, dict[str, str]]]
) -> tuple[tuple[Any, dict[str, str]] | None, Finding]:
    if source and not is_cached(*source):
        return None, _on_the_hub(name, *source)
    try:
        loaded = load()
    except UserError as error:
        return None, Finding(FAIL, name, str(error))
    except ImportError as error:
        return None, Finding(FAIL, name, str(error), "pip install -r requirements.txt")
    encoder, origin = loaded
    return loaded, Finding(OK, name, f"{origin['name']}, {encoder.dim}-d")


def _on_the_hub(name: str, repository: str, revision: str) -> Finding:
    try:
        url = hf_hub_url(repository, "model.safetensors", revision=revision)
        size = get_hf_file_metadata(url, timeout=PATIENCE).size
    except Exception as error:  # the hub's client passes on what its HTTP library raises
        reason = f"{type(error).__name__}"
        found = f"{repository} is not in the cache, and the hub cannot be reached ({reason})"
        return Finding(FAIL, name, found, WAYS_OUT)
    found = f"{repository} is not in the cache yet: extract will download {decimal(size or 0)}"
    advice = "memory, disk and time are only looked at once it is there"
    return Finding(WARNING, name, found, advice)
