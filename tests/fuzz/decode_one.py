"""Pictures decoded as those of a table are."""

import numpy as np
import pandas as pd

from extract.data.image_decoding import GREY, decode_pictures
from extract.data.meme_table import MemeTable

SIZE = 8


def table_of(paths):
    """Rows a.csv:2, a.csv:3, ... of the test split, one a picture."""
    count = len(paths)
    rows = {
        "id": [str(number) for number in range(count)],
        "image": [str(path) for path in paths],
        "file": "a.csv",
        "line": np.arange(count) + 2,
    }
    return MemeTable(pd.DataFrame(rows), "id", "label")


def decoded(*paths):
    """(pixels or None, problem or None) of each picture."""
    pictures, problems = decode_pictures(table_of(paths), SIZE, "bicubic")
    faults = {problem.row: problem for problem in problems}
    shown = pictures.pixels[pictures.index]
    assert shown.shape == (len(paths), 3, SIZE, SIZE) and shown.dtype == np.uint8
    for row, problem in faults.items():
        assert (problem.file, problem.line, problem.field) == ("a.csv", row + 2, "image")
        assert str(paths[row]) in problem.message and not problem.message.endswith(": ")
        assert (shown[row] == GREY).all()
    return [(pixels, faults.get(row)) for row, pixels in enumerate(shown)]


def problem_of(path, content):
    path.write_bytes(content)
    [(_, problem)] = decoded(path)
    return str(problem)
