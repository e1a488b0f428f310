"""Read and write JSON files with a checksum, so that edited or damaged files are detected."""

import json
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from runtime.config_fields import from_dict
from runtime.errors import UserError, raise_if_system_error, user_error_if_damaged
from runtime.files.atomic_files import write_text
from runtime.files.file_checksums import CHECKSUM_KEY


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write `content` atomically as indented JSON, with a checksum as its last key."""
    with_checksum = {**content, CHECKSUM_KEY: _checksum(content)}
    return write_text(path, json.dumps(with_checksum, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, command: str) -> dict[str, Any]:
    """Read a JSON object that the command `command` wrote.

    Raises UserError, which names that command, if the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py {command}")
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise_if_system_error(path, error)
        raise UserError(
            f"{path} is damaged ({error}). Run: python pipeline.py {command}"
        ) from error


def parse_json(text: str) -> dict[str, Any]:
    """Return the content given to `write_json`. Raises ValueError if the text was changed."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    if content.pop(CHECKSUM_KEY, None) != _checksum(content):
        raise ValueError("its checksum differs: it was changed since it was written")
    return content


def _checksum(content: dict[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(content).encode())


Record = TypeVar("Record")


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """Read a file that `write_json` wrote.

    Raises UserError, which ends with `remedy`, if the file is missing or damaged.
    """
    with user_error_if_damaged(path, remedy):
        return parse_json(path.read_text(encoding="utf-8"))


def read_dataclass(kind: type[Record], path: Path, remedy: str) -> Record:
    """Read a file that `write_json` wrote as the dataclass `kind`.

    Raises UserError as `read_object` does, and for unknown or missing keys.
    """
    content = read_object(path, remedy)
    try:
        return from_dict(kind, content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
