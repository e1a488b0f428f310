"""Fingerprint of the data, by which a run knows whether its memes have changed since."""

import hashlib
import json

from extract.data.image_decoding import Pictures
from extract.tables.meme_table import MemeTable


def data_fingerprint(table: MemeTable, pictures: Pictures) -> str:
    """Return the SHA-256 over id, split, caption, label, order and picture file of each row.

    Captions count as they were given: what is read off pictures follows from these. It does not
    depend on the size of the pictures.
    """
    digest = hashlib.sha256()
    caption = "given" if "given" in table.rows else "caption"
    columns = table.rows[["id", "split", caption, "label", "order"]]
    for row, picture in zip(columns.itertuples(index=False), pictures.index, strict=True):
        line = [*row, pictures.digests[picture]]
        digest.update(json.dumps([str(value) for value in line]).encode() + b"\n")
    return digest.hexdigest()
