"""Load the user's data into memory: checked rows, decoded pictures and tokenised captions."""

import hashlib
import json
from dataclasses import dataclass

from extract.data.bad_rows import resolve_bad_rows
from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures, decode_pictures
from extract.data.meme_table import MemeTable
from extract.data.read_memes import ReadResult
from extract.data.tokenisation import tokenise
from extract.towers.encoders import TextEncoder
from runtime.progress import log


@dataclass(frozen=True)
class LoadedData:
    """A checked table of memes, and the model inputs of its rows."""

    table: MemeTable
    inputs: Inputs
    remarks: list[str]
    """Sentences on what was joined, blanked, left out or truncated."""

    def captions(self) -> list[str]:
        """Return the caption of each row."""
        return self.table.rows["caption"].tolist()

    def fingerprint(self) -> str:
        """Return the SHA-256 over id, split, caption, label, order and picture file of each row."""
        digest = hashlib.sha256()
        pictures = self.inputs.pictures
        columns = self.table.rows[["id", "split", "caption", "label", "order"]]
        for row, picture in zip(columns.itertuples(index=False), pictures.index, strict=True):
            line = [*row, pictures.digests[picture]]
            digest.update(json.dumps([str(value) for value in line]).encode() + b"\n")
        return digest.hexdigest()


def load_data(
    reading: ReadResult,
    image_size: int,
    interpolation: str,
    max_tokens: int,
    text: TextEncoder,
    on_bad_rows: str,
) -> LoadedData:
    """Decode the pictures and tokenise the captions of a table that was read.

    Raises UserError for bad rows, unless they are blanked.
    """
    table, problems, notes = reading
    pictures, undecodable = decode_pictures(table, image_size, interpolation)
    problems = problems + undecodable
    table, positions = resolve_bad_rows(table, problems, on_bad_rows)
    pictures = Pictures(
        pictures.pixels, pictures.hashes, pictures.digests, pictures.index[positions]
    )
    limit = min(max_tokens, text.max_tokens)
    captions = tokenise(table.rows["caption"].tolist(), text.tokenizer, limit, text.pad_id)
    remarks = [*notes, *(f"blanked or left out: {problem}" for problem in problems)]
    if captions.truncated:
        remarks.append(f"{captions.truncated} captions were truncated to {limit} tokens")
    for remark in remarks:
        log(remark)
    return LoadedData(table, Inputs(pictures, captions), remarks)
