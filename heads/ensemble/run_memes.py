"""Captions and pictures of a run's rows: memes.jsonl, which `extract` writes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.errors import UserError, user_error_if_damaged

REMAKE = "Delete it and run, with the same flags as before: python pipeline.py extract"


@dataclass(frozen=True)
class Meme:
    """What is shown of a meme."""

    id: str
    split: str
    caption: str
    image: str
    """Path of the picture; empty if it was already missing in `extract`."""
    slice: str
    """Its value in `extract --group-column`; empty if there is none."""


def read_memes(path: Path, ids: np.ndarray | None = None) -> list[Meme]:
    """Read the memes of the rows with these ids, in their order; without `ids`, of all rows.

    Raises UserError if the file is missing, damaged, or lists other memes.
    """
    with user_error_if_damaged(path, REMAKE):
        # Not splitlines: captions may contain line separators that JSON does not escape.
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        needed = "id", "split", "caption", "image"
        memes = [Meme(*(line[key] for key in needed), line.get("slice", "")) for line in lines]
    if ids is not None and [meme.id for meme in memes] != ids.tolist():
        raise UserError(f"{path} does not list the same memes as features.h5. {REMAKE}")
    return memes
