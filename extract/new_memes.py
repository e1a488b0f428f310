"""Read memes to score with a finished run. Imports no model library, so mistakes show at once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from extract.spaces.checkpoint import any_checkpoint
from extract.tables.columns import Columns
from extract.tables.files.folder_walk import is_file
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import Problem
from extract.tables.parsing.text_cells import read_caption, unreadable
from extract.tables.read_memes import ReadResult, read_unlabelled
from extract.tables.table_options import TableOptions
from runtime.errors import UserError, quoted
from runtime.files.atomic_files import PARTIAL, remove_folder


def read_single_meme(image: Path | None, caption: str | None) -> ReadResult:
    """Return a table of one meme, without a picture or a caption if it is None.

    Its id is the name of the picture file, without suffix.
    """
    text, caption_fault = read_caption((caption or "").strip())
    if fault := unreadable(str(image)):
        raise UserError(f"--image {quoted(str(image))}: {fault}. Rename it.")
    row = {
        "id": image.stem if image else "text",
        "split": "test",
        "image": str(image) if image and is_file(image) else "",
        "caption": text,
        "label": np.int8(-1),
        "order": np.int32(0),
        "file": "--image",
        "line": 1,
    }
    problems = []
    if image and not row["image"]:
        problems.append(Problem("--image", 1, f"{image} is not a file", 0, "image"))
    if caption_fault:
        problems.append(Problem("--text", 1, caption_fault, 0, "caption"))
    return MemeTable(pd.DataFrame([row]), "id", "label"), problems, []


def read_new_memes(
    data: Path, backbones: Path, unpack_to: Path | None = None, image_folder: str | None = None
) -> ReadResult:
    """Read a table of memes to score, with the column names of the run's training data.

    Pictures whose bytes the table holds are written to the folder `unpack_to`; others are also
    looked for in `image_folder`.
    """
    columns = Columns(**any_checkpoint(backbones).columns)
    folder = Path(image_folder) if image_folder else None
    return read_unlabelled(
        data, TableOptions(columns=columns, image_folder=folder, unpack_to=unpack_to)
    )


@contextmanager
def pictures_folder(out: Path | str | None) -> Iterator[Path]:
    """Yield where pictures are unpacked whose bytes the table holds; delete it at the end.

    Beside `out`, because temporary folders may be small, and because memes that a killed command
    has left must have the same paths when it is continued.
    """
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = Path(f"{out}{PARTIAL}.pictures")
    try:
        yield folder
    finally:
        remove_folder(folder)
