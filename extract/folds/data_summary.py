"""Summarise the data for data.json: counts of rows, classes, captions and near-duplicates."""

from typing import Any

import numpy as np
import pandas as pd

from extract.data.image_decoding import Pictures
from extract.data.load_data import LoadedData
from extract.folds.near_captions import CAPTION_OVERLAP, normalise_caption
from extract.folds.near_pictures import HASH_RADIUS
from extract.tables.meme_table import MemeTable
from features.feature_table import SPLITS, Rows


def summarise_data(loaded: LoadedData, rows: Rows) -> dict[str, Any]:
    """Return JSON-ready counts. `contradictions` are lists of ids, `remarks` are sentences."""
    pictures, captions = loaded.inputs.pictures, loaded.inputs.captions
    tokens = captions.lengths()[captions.index]
    return {
        "splits": class_counts(rows),
        "pictures": len(pictures.digests),
        "captions": len(captions.tokens),
        "caption_tokens": {
            f"p{q}": int(np.percentile(tokens, q, method="higher")) for q in (5, 50, 95, 100)
        },
        "near_duplicates": count_near_duplicates(rows),
        "contradictions": contradictions(loaded.table, pictures, rows),
        "remarks": loaded.remarks,
    }


def class_counts(rows: Rows) -> dict[str, dict[str, int]]:
    """Return the number of rows, and of positive and negative ones, of each split."""
    return {split: _class_counts(rows, rows.split == split) for split in SPLITS}


def count_near_duplicates(rows: Rows) -> dict[str, int]:
    """Count groups, rows that share a group, and test rows that share one with a labelled row."""
    size = np.bincount(rows.group)
    near_labelled = np.isin(rows.group, rows.group[rows.labelled])
    return {
        "hash_radius": HASH_RADIUS,
        "caption_overlap": CAPTION_OVERLAP,
        "groups": int((size > 0).sum()),
        "groups_shared": int((size > 1).sum()),
        "rows_sharing": int(size[size > 1].sum()),
        "largest": int(size.max()),
        "test_rows_near_labelled": int((near_labelled & ~rows.labelled).sum()),
    }


def near_duplicate_table(rows: Rows) -> pd.DataFrame:
    """Return group, id, split and label of every row that shares its group, group by group."""
    shared = np.flatnonzero(np.bincount(rows.group)[rows.group] > 1)
    shared = shared[np.argsort(rows.group[shared], kind="stable")]
    columns = {name: getattr(rows, name)[shared] for name in ("group", "id", "split", "label")}
    return pd.DataFrame(columns)


def contradictions(table: MemeTable, pictures: Pictures, rows: Rows) -> list[list[str]]:
    """Return lists of ids: train and val rows of the same picture file and caption, both labels."""
    labelled = pd.DataFrame(
        {
            "picture": pictures.index,
            # Of emoji, nothing is left: then the caption as it is says what differs.
            "caption": [normalise_caption(c) or c.strip() for c in table.rows["caption"]],
            "id": rows.id,
            "label": rows.label,
        }
    )[rows.labelled]
    meme = ["picture", "caption"]
    contradicted = labelled[labelled.groupby(meme)["label"].transform("nunique") > 1]
    return [rows["id"].tolist() for _, rows in contradicted.groupby(meme, sort=False)]


def _class_counts(rows: Rows, selected: np.ndarray) -> dict[str, int]:
    label = rows.label[selected]
    return {
        "rows": int(selected.sum()),
        "positive": int((label == 1).sum()),
        "negative": int((label == 0).sum()),
    }
