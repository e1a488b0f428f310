"""What there is to know of the data before any training: sizes, near-duplicates, captions."""

from typing import Any

import numpy as np
import pandas as pd

from extract.data.image_decoding import Pictures
from extract.data.load_data import Prepared
from extract.data.meme_table import MemeTable
from extract.duplicates.near_duplicates import CAPTION_OVERLAP, HASH_RADIUS, normalise_caption
from features.feature_table import SPLITS, Rows


def summarise_data(prepared: Prepared, rows: Rows) -> dict[str, Any]:
    """JSON-ready counts; `contradictions` are lists of ids, `remarks` are sentences."""
    pictures, captions = prepared.inputs.pictures, prepared.inputs.captions
    tokens = captions.lengths()[captions.index]
    return {
        "splits": class_counts(rows),
        "pictures": len(pictures.digests),
        "captions": len(captions.tokens),
        "caption_tokens": {
            f"p{q}": int(np.percentile(tokens, q, method="higher")) for q in (5, 50, 95, 100)
        },
        "near_duplicates": count_near_duplicates(rows),
        "contradictions": contradictions(prepared.table, pictures, rows),
        "remarks": prepared.remarks,
    }


def class_counts(rows: Rows) -> dict[str, dict[str, int]]:
    """Rows, positive and negative ones of each split."""
    return {split: _split(rows, rows.split == split) for split in SPLITS}


def count_near_duplicates(rows: Rows) -> dict[str, int]:
    """Counts of groups with more than one row, and of test rows in a group with a labelled row."""
    size = np.bincount(rows.group)
    known = np.isin(rows.group, rows.group[rows.labelled])
    return {
        "hash_radius": HASH_RADIUS,
        "caption_overlap": CAPTION_OVERLAP,
        "groups": int((size > 0).sum()),
        "groups_shared": int((size > 1).sum()),
        "rows_sharing": int(size[size > 1].sum()),
        "largest": int(size.max()),
        "test_rows_near_labelled": int((known & ~rows.labelled).sum()),
    }


def near_duplicates(rows: Rows) -> pd.DataFrame:
    """group, id, split, label of every row that shares its group, group by group."""
    shared = np.flatnonzero(np.bincount(rows.group)[rows.group] > 1)
    shared = shared[np.argsort(rows.group[shared], kind="stable")]
    columns = {name: getattr(rows, name)[shared] for name in ("group", "id", "split", "label")}
    return pd.DataFrame(columns)


def contradictions(table: MemeTable, pictures: Pictures, rows: Rows) -> list[list[str]]:
    """Ids of train and val rows with one picture file and one caption, but both labels."""
    same = pd.DataFrame(
        {
            "picture": pictures.index,
            "caption": [normalise_caption(caption) for caption in table.rows["caption"]],
            "id": rows.id,
            "label": rows.label,
        }
    )[rows.labelled]
    memes = same.groupby(["picture", "caption"], sort=False)
    return [meme["id"].tolist() for _, meme in memes if meme["label"].nunique() > 1]


def _split(rows: Rows, here: np.ndarray) -> dict[str, int]:
    label = rows.label[here]
    return {
        "rows": int(here.sum()),
        "positive": int((label == 1).sum()),
        "negative": int((label == 0).sum()),
    }
