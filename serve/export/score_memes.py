"""The program of an exported folder: score a CSV table of memes, or one meme, without PyTorch."""

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from extract.tables.parsing.text_cells import read_caption
from heads.config import SUBMITTED
from heads.predict import Scorer, load_scorer
from runtime.console import tolerate_encodings
from runtime.errors import UserError, error_message
from runtime.files.file_checksums import verify_checksums
from runtime.files.json_files import read_object
from runtime.picture_opening import open_picture, picture_fault, read_picture
from runtime.progress import log, progress
from serve.config import PRIOR, parse_prior
from serve.export.onnx_spaces import OnnxSpace, SpaceSettings, embed

MANIFEST, RUN = "manifest.json", "run"

REMEDY = "Export the run again: python pipeline.py export"

PART_ROWS = 256
"""Memes that are decoded, embedded, scored and written at a time."""


class Meme(NamedTuple):
    """One row of the table."""

    id: str
    image: Path | None
    caption: str
    fault: str = ""


class ExportedRun:
    """An exported run, loaded once."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if a file is missing or its content changed."""
        self.manifest = manifest = read_object(folder / MANIFEST, REMEDY)
        verify_checksums(folder, manifest["files"], REMEDY)
        self.stamp: str = manifest["stamp"]
        self.columns: dict[str, str] = manifest["columns"]
        self.scorer: Scorer = load_scorer(folder / RUN, self.stamp)
        self.spaces = {
            name: OnnxSpace(folder / RUN / "backbones" / name, SpaceSettings(**settings), REMEDY)
            for name, settings in manifest["spaces"].items()
        }

    def score(
        self,
        pictures: list[Image.Image | None],
        captions: list[str],
        prior: float | str = SUBMITTED,
    ) -> np.ndarray:
        """Return the probability of each meme, an RGB picture or None and a caption: float64."""
        return self.scorer.score(embed(self.spaces, self.stamp, pictures, captions), prior)


def main(folder: Path, arguments: list[str]) -> int:
    """Score what the arguments name; return the exit code."""
    tolerate_encodings()
    asked = _parser().parse_args(arguments)
    single = asked.image is not None or asked.text is not None
    try:
        if single == (asked.table is not None):
            raise UserError("pass either a table, or --image, --text or both")
        prior = parse_prior(asked.prior)
        run = ExportedRun(folder)
        memes = [_single(asked)] if single else _read_table(Path(asked.table), run.columns)
        return _write(run, memes, prior)
    except (UserError, OSError) as error:
        print(f"error: {error_message(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "score.py", description="Score memes; writes CSV to stdout: id, probability, label."
    )
    parser.add_argument("table", nargs="?", help="CSV file with the columns id, img and text.")
    parser.add_argument("--image", help="A picture, in place of a table.")
    parser.add_argument("--text", help="Its caption.")
    parser.add_argument("--prior", default=SUBMITTED, help=PRIOR)
    return parser


def _single(asked: argparse.Namespace) -> Meme:
    image = None if asked.image is None else Path(asked.image)
    return Meme("text" if image is None else image.stem, image, asked.text or "")


def _read_table(path: Path, columns: dict[str, str]) -> list[Meme]:
    """Read a CSV file. Pictures are paths in its folder; an empty one means none."""
    if not path.is_file():
        raise UserError(f"{path} is not a file. Pass a CSV table of memes.")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        found = reader.fieldnames or []
        if missing := [name for name in columns.values() if name not in found]:
            raise UserError(f"{path} lacks the columns {', '.join(missing)}: found {found}")
        try:
            return [_meme(row, columns, path.parent) for row in reader]
        except csv.Error as error:
            raise UserError(f"{path}, after line {reader.line_num}: {error}") from error


def _meme(row: dict[str, Any], columns: dict[str, str], folder: Path) -> Meme:
    name, image, text = (row[columns[role]] or "" for role in ("id", "image", "text"))
    if not image.strip():
        return Meme(name, None, text)
    # As in `predict`, a table cannot name files elsewhere.
    path = Path(os.path.normpath(folder / image.strip()))
    if not path.is_relative_to(os.path.normpath(folder)):
        return Meme(name, None, text, f"{path} is not in {folder}")
    return Meme(name, path, text)


def _write(run: ExportedRun, memes: Sequence[Meme], prior: float | str) -> int:
    """Write a row for each meme, without a probability where there is a fault, which is logged."""
    writer, failed = csv.writer(sys.stdout, lineterminator="\n"), 0
    writer.writerow(("id", "probability", "label"))
    with progress("score", len(memes), "memes") as advance:
        for start in range(0, len(memes), PART_ROWS):
            part = memes[start : start + PART_ROWS]
            for meme, probability, fault in _score_part(run, part, prior):
                if fault:
                    failed += 1
                    log(f"{meme.id}: {fault}")
                    writer.writerow((meme.id, "", ""))
                else:
                    label = int(probability > run.scorer.threshold)
                    writer.writerow((meme.id, repr(probability), label))
            sys.stdout.flush()
            advance(len(part))
    if failed:
        log(f"{failed} of {len(memes)} memes have no probability: see above")
    return 1 if failed else 0


def _score_part(
    run: ExportedRun, memes: Sequence[Meme], prior: float | str
) -> Iterator[tuple[Meme, float, str]]:
    pictures, picture_faults = zip(*(_open(meme.image) for meme in memes), strict=True)
    captions, text_faults = zip(*(read_caption(m.caption.strip()) for m in memes), strict=True)
    probability = run.score(list(pictures), list(captions), prior)
    for meme, value, *faults in zip(
        memes, probability.tolist(), picture_faults, text_faults, strict=True
    ):
        yield meme, value, "; ".join(filter(None, (meme.fault, *faults)))


def _open(path: Path | None) -> tuple[Image.Image | None, str]:
    """Open a picture; return what is wrong with it, too. Raises UserError if the system refuses."""
    if path is None:
        return None, ""
    if not path.is_file():
        return None, f"{path} is not a file"
    data = b""
    try:
        data = read_picture(path)
        return open_picture(BytesIO(data)), ""
    except Exception as error:  # for a broken file, Pillow's readers raise errors of many types
        return None, f"{path} cannot be decoded: {picture_fault(path, data, error)}"
