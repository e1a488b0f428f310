"""Helpers that decode picture files like those of a table."""

import numpy as np
import pandas as pd

from extract.data.image_decoding import decode_pictures
from extract.tables.meme_table import MemeTable
from runtime.picture_opening import GREY

SIZE = 8


def table_of(paths):
    """Return a table with one row per picture: a.csv:2, a.csv:3, ... of the test split."""
    count = len(paths)
    rows = {
        "id": [str(number) for number in range(count)],
        "image": [str(path) for path in paths],
        "file": "a.csv",
        "line": np.arange(count) + 2,
    }
    return MemeTable(pd.DataFrame(rows), "id", "label")


def decoded(*paths):
    """Return (pixels, problem or None) of each picture; bad pictures have grey pixels."""
    pictures, problems = decode_pictures(table_of(paths), SIZE, "bicubic")
    faults = {problem.row: problem for problem in problems}
    pixels = pictures.pixels[pictures.index]
    assert pixels.shape == (len(paths), 3, SIZE, SIZE) and pixels.dtype == np.uint8
    for row, problem in faults.items():
        assert (problem.file, problem.line, problem.field) == ("a.csv", row + 2, "image")
        assert str(paths[row]) in problem.message and not problem.message.endswith(": ")
        assert (pixels[row] == GREY).all()
    return [(picture, faults.get(row)) for row, picture in enumerate(pixels)]


def problem_of(path, content):
    """Return the problem of a picture file with this content, which must have one."""
    path.write_bytes(content)
    [(_, problem)] = decoded(path)
    return str(problem)
