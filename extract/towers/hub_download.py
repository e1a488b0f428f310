"""Download pretrained weights from the Hugging Face hub once, then read them from its cache."""

import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from extract.config import IMAGE_COMMIT, TEXT_COMMIT
from extract.towers.layouts.open_clip_config import is_open_clip
from runtime.errors import UserError, system_errno

OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"

HUB_FILES = [
    *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("vocab.txt", "vocab.json", "merges.txt"),
    *("preprocessor_config.json", "config_sentence_transformers.json", "1_Pooling/config.json"),
    *("modules.json", "*_Dense/config.json", "*_Dense/model.safetensors", "open_clip_config.json"),
    OPEN_CLIP_WEIGHTS,
]
"""Patterns of the files of a repository that are used, if it has them."""

PINNED = {
    "timm/efficientnet_b0.ra_in1k": IMAGE_COMMIT,
    "distilbert/distilbert-base-uncased": TEXT_COMMIT,
    "openai/clip-vit-large-patch14": "32bd64288804d66eefd0ccbe215aa642df71cc41",
    "openai/clip-vit-base-patch32": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    "sentence-transformers/all-mpnet-base-v2": "e8c3b32edf5434bc2275fc9bab85f82640a19130",
}
"""Repository -> the commit that is used unless another is named. Public projects pin the same."""

ALTERNATIVES = (
    "--weights bundled (EfficientNet-Lite0 and MiniLM, from requirements.txt), or --image-weights "
    "DIR --text-weights DIR (local copies of the repositories), or --image-revision main "
    "--text-revision main (their newest cached revisions)"
)


def is_cached(repository: str, revision: str) -> bool:
    """Return whether the hub's cache has the weights of this revision of a repository."""
    files = ("config.json", "model.safetensors")
    found = (try_to_load_from_cache(repository, name, revision=revision) for name in files)
    return all(isinstance(path, str) for path in found)


def download(
    repository: str, revision: str, cached_only: bool, alternatives: str = ALTERNATIVES
) -> Path:
    """Return the cache folder of a repository's revision; download it first if it is not cached.

    With `cached_only`, nothing is downloaded. Raises UserError, which names the `alternatives`, if
    it is not cached and cannot be downloaded, and OSError if the disk refuses.
    """

    cached_only = cached_only or not _hub_is_known()

    def fetch(commit: str, *files: str) -> Path:
        found = snapshot_download(
            repository, revision=commit, allow_patterns=[*files], local_files_only=cached_only
        )
        return Path(found)

    try:
        folder = fetch(revision, *(name for name in HUB_FILES if name != OPEN_CLIP_WEIGHTS))
        # Large, and in many repositories the same weights as in another layout.
        return fetch(folder.name, OPEN_CLIP_WEIGHTS) if is_open_clip(folder) else folder
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        if system_errno(error):  # such as a full disk, which the network has no part in
            raise
        raise UserError(
            f"{repository} at revision {revision} is not in the cache and cannot be downloaded "
            f"({type(error).__name__}). Run once with network access: the weights stay in the "
            f"cache (HF_HOME). Or pass {alternatives}."
        ) from error


def _hub_is_known() -> bool:
    """Return whether the hub's name can be resolved; its client finds out in half a minute."""
    if getproxies():
        return True  # The proxy resolves it.
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except socket.gaierror:
        return False
    return True
