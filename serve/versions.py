"""The version of memefuse, which is used from its checkout."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def memefuse_version() -> str:
    """Return the version in pyproject.toml."""
    return tomllib.loads(PROJECT.read_text())["project"]["version"]
