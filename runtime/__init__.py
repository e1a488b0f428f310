"""Code shared by all commands and both stages.

`config_fields` and `flags_from_config` turn dataclasses into command-line flags and config.json.
`lock` lets one command at a time work on a run. `files` reads files, and writes each one whole or
not at all; `picture_opening` opens pictures. `console` and `progress` print to the terminal,
`run_steps` prints how far a run has come, `processes` gives the rank under torchrun, and `errors`
holds the errors that end a command. `cluster` divides work among machines.
"""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def memefuse_version() -> str:
    """Return the version in pyproject.toml."""
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
