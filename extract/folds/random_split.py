"""Divide the rows of a table without splits at random into train, val and test (--split)."""

import numpy as np

from extract.data.load_data import LoadedData
from extract.folds.fold_assignment import stratified_parts
from extract.folds.near_duplicates import group_near_duplicates
from features.feature_table import SPLITS
from runtime.errors import UserError

PARTS = 20
"""Rows are cut into this many stratified parts, so shares are rounded to a twentieth."""


def divide_rows(loaded: LoadedData, shares: tuple[float, float, float], seed: int) -> LoadedData:
    """Return the same rows with new splits, in the order train, val, test.

    Groups of near-duplicates stay together, and each split has about the same share of positives.
    Memes that reviews added stay in train.
    Raises UserError if a split would be empty, or if a label is unknown.
    """
    label = loaded.table.rows["label"].to_numpy()
    group = group_near_duplicates(loaded.table, loaded.inputs.pictures).group
    count = min(PARTS, len(np.unique(group)))
    part = stratified_parts(label.astype(np.int64), group, count, seed)
    ends = np.round(np.cumsum(shares) * count).astype(int)
    split = np.searchsorted(ends, part, side="right")
    counts = np.bincount(split, minlength=3)
    if any(counts[n] == 0 and shares[n] > 0 for n in range(3)):
        raise UserError(f"--split: {len(label)} rows are too few for the shares {shares}.")
    if "added" in loaded.table.rows:
        split[loaded.table.rows["added"].to_numpy()] = 0
    return _reorder(loaded, split, np.argsort(split, kind="stable"))


def describe(loaded: LoadedData, seed: int) -> str:
    """Return one sentence for the user about divided rows."""
    counts = loaded.table.rows["split"].value_counts()
    numbers = ", ".join(f"{counts.get(split, 0)} {split}" for split in SPLITS)
    return (
        f"--split: the rows are divided at random (seed {seed}) into {numbers}; near-duplicates "
        "stay together."
    )


def _reorder(loaded: LoadedData, split: np.ndarray, order: np.ndarray) -> LoadedData:
    names = np.array(SPLITS, dtype=object)[split[order]]
    test = names == "test"
    position = np.where(test, np.cumsum(test) - 1, -1).astype(np.int32)
    return loaded.take(order).with_columns(split=names, order=position)
