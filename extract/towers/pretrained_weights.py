"""Load the pretrained image and text encoders: from the hub, PyPI packages or a local folder."""

import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from extract.config import IMAGE_COMMIT, TEXT_COMMIT
from extract.towers import mpnet_package
from extract.towers.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from extract.towers.hub_download import HUB_FILES, PINNED, download
from runtime.errors import UserError, quoted

HUB_IMAGE = "timm/efficientnet_b0.ra_in1k"

HUB_TEXT = "distilbert/distilbert-base-uncased"

PACKAGES = {"mpnet": (mpnet_package.mpnet_folder, mpnet_package.ORIGIN)}
"""Name -> a function that returns the folder of an optional package's model, and its origin."""


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
        path, origin = find_model(folder, "--image-weights", cached_only)
        return load_image_encoder(path), origin
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
        path, origin = find_model(folder, "--text-weights", cached_only)
        return load_text_encoder(path, pooling), origin
    if weights == "bundled":
        from extract.towers import bundled_weights

        return bundled_weights.load_bundled_text(pooling), bundled_weights.TEXT_ORIGIN
    snapshot = download(HUB_TEXT, revision, cached_only)
    return load_text_encoder(snapshot, pooling), {"name": HUB_TEXT, "revision": snapshot.name}


def find_model(model: str, flag: str, cached_only: bool = False) -> tuple[Path, dict[str, str]]:
    """Return the folder of a model and its origin; download or unpack it if necessary.

    `model` is a folder, a name in PACKAGES, or a hub repository: NAME or NAME@REVISION. Raises
    UserError if there is no such model.
    """
    if Path(model).is_dir():
        return Path(model), _local_origin(Path(model))
    if model in PACKAGES:
        find, origin = PACKAGES[model]
        return find(), origin
    repository, _, revision = model.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise UserError(
            f"{flag}: {quoted(model)} is not a folder. Allowed are a folder, "
            f"{', '.join(PACKAGES)}, and a name on the hub such as openai/clip-vit-base-patch32."
        )
    revision = revision or PINNED.get(repository, "main")
    snapshot = download(repository, revision, cached_only, f"{flag} with a local folder")
    return snapshot, {"name": repository, "revision": snapshot.name}


def _local_origin(folder: Path) -> dict[str, str]:
    digest = hashlib.sha256()
    for path in (path for name in HUB_FILES for path in sorted(folder.glob(name))):
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return {"name": str(folder.resolve()), "revision": f"sha256:{digest.hexdigest()}"}


def _reject_revision(flag: str, revision: str, default: str) -> None:
    if revision != default:
        raise UserError(
            f'{flag}: found "{revision}", but only weights from the hub have revisions. Omit it, '
            "or pass --weights hub without a local folder of weights."
        )
