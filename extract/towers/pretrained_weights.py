"""Load the pretrained image and text encoders: from the hub, PyPI packages or a local folder."""

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path

from extract.config import IMAGE_COMMIT, TEXT_COMMIT
from extract.towers.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from extract.towers.hub_download import HUB_FILES, download
from runtime.errors import UserError

HUB_IMAGE = "timm/efficientnet_b0.ra_in1k"

HUB_TEXT = "distilbert/distilbert-base-uncased"


@dataclass(frozen=True)
class Backbones:
    """A pair of encoders, and the origin of each: `{"name", "revision"}`."""

    image: ImageEncoder
    text: TextEncoder
    image_origin: dict[str, str]
    text_origin: dict[str, str]

    def copy_encoders(self) -> tuple[ImageEncoder, TextEncoder]:
        """Return copies of both encoders, which may be changed and trained."""
        return copy.deepcopy(self.image), copy.deepcopy(self.text)


def load_backbones(
    weights: str,
    image_folder: str | None,
    text_folder: str | None,
    pooling: str,
    image_revision: str = IMAGE_COMMIT,
    text_revision: str = TEXT_COMMIT,
) -> Backbones:
    """Load each encoder from its local folder if given, else from `weights` (hub or bundled).

    Raises UserError if one cannot be loaded. There is no fallback.
    """
    image, image_origin = load_image_backbone(weights, image_folder, image_revision)
    text, text_origin = load_text_backbone(weights, text_folder, pooling, text_revision)
    return Backbones(image, text, image_origin, text_origin)


def load_image_backbone(
    weights: str, folder: str | None, revision: str, cached_only: bool = False
) -> tuple[ImageEncoder, dict[str, str]]:
    """Load the image encoder; return it and its origin. `cached_only` forbids downloads."""
    if folder or weights != "hub":
        _reject_revision("--image-revision", revision, IMAGE_COMMIT)
    if folder:
        return load_image_encoder(Path(folder)), _local_origin(folder)
    if weights == "bundled":
        from extract.towers import bundled_weights

        return bundled_weights.load_bundled_image(), bundled_weights.IMAGE_ORIGIN
    snapshot = download(HUB_IMAGE, revision, cached_only)
    return load_image_encoder(snapshot), {"name": HUB_IMAGE, "revision": snapshot.name}


def load_text_backbone(
    weights: str, folder: str | None, pooling: str, revision: str, cached_only: bool = False
) -> tuple[TextEncoder, dict[str, str]]:
    """Load the text encoder; return it and its origin. `cached_only` forbids downloads."""
    if folder or weights != "hub":
        _reject_revision("--text-revision", revision, TEXT_COMMIT)
    if folder:
        return load_text_encoder(Path(folder), pooling), _local_origin(folder)
    if weights == "bundled":
        from extract.towers import bundled_weights

        return bundled_weights.load_bundled_text(pooling), bundled_weights.TEXT_ORIGIN
    snapshot = download(HUB_TEXT, revision, cached_only)
    return load_text_encoder(snapshot, pooling), {"name": HUB_TEXT, "revision": snapshot.name}


def _local_origin(folder: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for path in (Path(folder) / name for name in HUB_FILES):
        if path.is_file():
            digest.update(path.read_bytes())
    return {"name": str(Path(folder).resolve()), "revision": f"sha256:{digest.hexdigest()}"}


def _reject_revision(flag: str, revision: str, default: str) -> None:
    if revision != default:
        raise UserError(
            f'{flag}: found "{revision}", but only weights from the hub have revisions. Omit it, '
            "or pass --weights hub without a local folder of weights."
        )
