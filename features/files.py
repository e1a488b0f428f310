"""Write beside, flush, rename: a file under its final name is always whole."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it into place if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write `text` as UTF-8 with Unix line ends."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")
    return path


def write_json(path: Path, content: object) -> Path:
    """Write `content` as indented JSON."""
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, made_by: str) -> dict:
    """Read a JSON object that the command `made_by` wrote."""
    if not path.is_file():
        raise UserError(f"{path} is missing. Run first: python pipeline.py {made_by}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
        return content
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}). Run: python pipeline.py {made_by}"
        ) from error


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`; put it in the place of `folder` if the block succeeds."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
