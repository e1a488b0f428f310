"""The table of memes that every step of stage one reads."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class MemeTable:
    """The user's memes, in the order train, val, test.

    `rows` has the columns id (str), split (train, val, test), image (path as str), caption (str),
    label (int8, -1 = unknown), order (int32, row index in solution.csv, -1 = not in it), file and
    line (where the row was read).
    """

    rows: pd.DataFrame
    id_column: str
    """Name of the id column of solution.csv."""
    label_column: str
    """Name of the label column of solution.csv."""

    def __len__(self) -> int:
        return len(self.rows)
