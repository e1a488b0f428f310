"""What tests read from data and run folders, and change in them."""

import pandas as pd


def table(folder, split):
    """A table of the sample."""
    return pd.read_csv(folder / f"{split}.csv", dtype={"id": str})


def edit(folder, split, row, column, value):
    """Change one cell."""
    rows = table(folder, split)
    rows.loc[row, column] = value
    rows.to_csv(folder / f"{split}.csv", index=False)


def contents(folder):
    """Bytes and time of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in files
    }
