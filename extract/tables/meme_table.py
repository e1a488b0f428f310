"""The table of memes that every step of stage one reads."""

from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class MemeTable:
    """The user's memes, in the order train, val, test.

    `rows` has the columns id (str), split (train, val, test), image (path as str), caption (str),
    label (int8, -1 = unknown), order (int32, row index in solution.csv, -1 = not in it), file and
    line (where the row was read); and slice (str) if a column of slices was named.
    """

    rows: pd.DataFrame
    id_column: str
    """Name of the id column of solution.csv."""
    label_column: str
    """Name of the label column of solution.csv."""
    submission_columns: list[str] = field(default_factory=list)
    """All columns of solution.csv; empty: id and label. A third one holds probabilities."""

    def __len__(self) -> int:
        return len(self.rows)
