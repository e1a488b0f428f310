"""Helpers that read and edit the files of data and run folders."""

import pandas as pd


def table(folder, split):
    """Read the table of one split of the sample."""
    return pd.read_csv(folder / f"{split}.csv", dtype={"id": str})


def edit(folder, split, row, column, value):
    """Change one cell of a table of the sample."""
    rows = table(folder, split)
    rows.loc[row, column] = value
    rows.to_csv(folder / f"{split}.csv", index=False)


def contents(folder):
    """Return relative path -> (bytes, modification time) of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in files
    }
