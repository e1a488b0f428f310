"""Read captions that nobody typed off their pictures, with the optional package rapidocr."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from extract.data.image_decoding import Pictures
from extract.tables.meme_table import MemeTable
from runtime.errors import UserError
from runtime.picture_opening import open_picture
from runtime.progress import progress

SIDE = 736
"""Pictures are fitted into a square of so many pixels, the size that the detector expects. Left to
itself, it would enlarge a long and narrow picture to gigabytes."""

MAX_THREADS = 16
"""Maximum number of pictures that are read at a time: each takes up to 100 MB."""

MIN_SCORE = 0.8
"""Minimum confidence of a line. Below it are mostly shapes that are taken for letters."""

MODELS = {
    "Det.model_path": "PP-OCRv6_det_small.onnx",
    "Rec.model_path": "PP-OCRv6_rec_small.onnx",
}
"""Models in the package: one finds lines of text, the other reads them."""

INSTALL = "pip install -r requirements-ocr.txt"

Reader = Callable[[Image.Image], str]
"""Returns the text in an RGB picture, line by line from the top, with spaces between the lines."""


def load_reader() -> Reader:
    """Load the models. Nothing is downloaded. Raises UserError if the packages are missing."""
    try:
        rapidocr, _ = import_module("rapidocr"), import_module("onnxruntime")
    except ImportError as error:
        missing = f"--read-captions needs packages that are not installed ({error})"
        raise UserError(f"{missing}. Run: {INSTALL}") from error
    folder = Path(rapidocr.__file__).parent / "models"
    paths = {setting: folder / name for setting, name in MODELS.items()}
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise UserError(f"--read-captions: {', '.join(missing)} is missing. Run: {INSTALL}")
    engine = rapidocr.RapidOCR(
        params={
            # With a path, rapidocr downloads no model.
            **{setting: str(path) for setting, path in paths.items()},
            # The third model turns lines that are upside down, which captions never are.
            "Global.use_cls": False,
            "Global.text_score": MIN_SCORE,
            "Global.log_level": "critical",
            # Whole pictures are read in parallel instead.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        }
    )

    def read(picture: Image.Image) -> str:
        rgb = np.asarray(ImageOps.pad(picture, (SIDE, SIDE)))
        lines = engine(rgb[:, :, ::-1]).txts or ()
        return " ".join(" ".join(lines).split())

    return read


def read_captions(table: MemeTable, pictures: Pictures) -> tuple[MemeTable, str]:
    """Fill empty captions with the text in the picture, if there is one; return a remark, too.

    Reads the original files, each distinct one once. `rows` gets the column `given`: the captions
    as they were. Raises UserError if the packages are missing.
    """
    rows = table.rows
    unread = ((rows["caption"] == "") & (rows["image"] != "")).to_numpy()
    if not unread.any():
        return table, "--read-captions: every meme with a picture has a caption"
    picture = pictures.index[unread].tolist()
    path_of_picture = dict(zip(picture, rows["image"][unread], strict=True))
    texts = dict(zip(path_of_picture, _read_files(list(path_of_picture.values())), strict=True))
    captions = rows["caption"].to_numpy(dtype=object, copy=True)
    captions[unread] = [texts[number] for number in picture]
    found = int((captions[unread] != "").sum())
    remark = (
        "--read-captions: absent captions that were read off the pictures and are now used: "
        f"{found}; pictures in which nothing was found: {len(picture) - found}"
    )
    filled = rows.assign(given=rows["caption"], caption=captions.tolist())
    return replace(table, rows=filled), remark


def _read_files(paths: list[str]) -> Iterator[str]:
    """Yield the text of each file, in order."""
    read = load_reader()
    with (
        ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool,
        progress("read captions", len(paths), "pictures") as advance,
    ):
        for text in pool.map(lambda path: read(open_picture(Path(path))), paths):
            yield text
            advance(1)
