"""Train on what reviewers decided: labels of train and val rows, and copies of test rows."""

import numpy as np

from extract.data.load_data import LoadedData
from features.feature_table import SPLITS


def train_on_decisions(loaded: LoadedData) -> LoadedData:
    """Give decided train and val rows the reviewer's label, and add decided test rows to train.

    `extract.tables.reviewed_memes` decides; without it, nothing changes. The test row itself stays,
    as it may be asked for in solution.csv. Its label is unknown from here on: a meme that is
    trained on must not be scored as a test row. Both rows are in one group of near-duplicates.
    """
    rows = loaded.table.rows
    if "decided" not in rows:
        return loaded
    decided = rows["decided"].to_numpy()
    copied = np.flatnonzero((decided >= 0) & (rows["split"] == "test").to_numpy())
    count, position = len(rows), np.concatenate([np.arange(len(rows)), copied])
    is_copy = np.arange(len(position)) >= count
    split = np.where(is_copy, "train", rows["split"].to_numpy(dtype=object)[position])
    label = np.where(decided >= 0, decided, rows["label"].to_numpy())
    label[copied] = -1
    label = np.where(is_copy, decided[position], label[position])
    in_order = np.argsort([SPLITS.index(name) for name in split], kind="stable")
    order = np.where(is_copy, -1, rows["order"].to_numpy()[position])
    return loaded.take(position[in_order]).with_columns(
        split=split[in_order],
        label=label[in_order].astype(np.int8),
        order=order[in_order].astype(np.int32),
    )
