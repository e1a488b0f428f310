"""JSON files that carry a checksum: what was edited or damaged is found when they are read."""

import json
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from runtime.atomic_files import write_text
from runtime.errors import UserError, damage_named
from runtime.file_checksums import CHECKSUM_KEY
from runtime.settings import from_dict


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write `content` as indented JSON, sealed with a checksum."""
    sealed = {**content, CHECKSUM_KEY: _checksum(content)}
    return write_text(path, json.dumps(sealed, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, made_by: str) -> dict[str, Any]:
    """Read a JSON object that the command `made_by` wrote."""
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py {made_by}")
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}). Run: python pipeline.py {made_by}"
        ) from error


def parse_json(text: str) -> dict[str, Any]:
    """What `write_json` was given. Raises ValueError for all else, and for what was changed."""
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
    """A JSON file that `write_json` wrote. Raises UserError as `read_arrays` does."""
    with damage_named(path, remedy):
        return parse_json(path.read_text(encoding="utf-8"))


def read_dataclass(kind: type[Record], path: Path, remedy: str) -> Record:
    """A JSON file as the dataclass `kind`. Raises UserError for other keys than it has."""
    content = read_object(path, remedy)
    try:
        return from_dict(kind, content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
