"""The user's data -> rows, pictures and captions, checked and in memory."""

import hashlib
import json
from dataclasses import dataclass

from extract.data.bad_rows import resolve_bad_rows
from extract.data.batches import Inputs
from extract.data.image_decoding import Pictures, decode_pictures
from extract.data.meme_table import MemeTable
from extract.data.read_memes import Reading
from extract.data.tokenisation import tokenise
from extract.towers.encoders import TextEncoder
from runtime.progress import log


@dataclass(frozen=True)
class Prepared:
    """A checked table of memes and what the towers need of it."""

    table: MemeTable
    inputs: Inputs
    remarks: list[str]
    """What was joined, blanked, left out or cut."""

    def captions(self) -> list[str]:
        """The caption of each row."""
        return self.table.rows["caption"].tolist()

    def fingerprint(self) -> str:
        """SHA-256 over every row as read: id, split, caption, label, order, picture file."""
        digest = hashlib.sha256()
        pictures = self.inputs.pictures
        columns = self.table.rows[["id", "split", "caption", "label", "order"]]
        for row, place in zip(columns.itertuples(index=False), pictures.index, strict=True):
            line = [*row, pictures.digests[place]]
            digest.update(json.dumps([str(value) for value in line]).encode() + b"\n")
        return digest.hexdigest()


def prepare(
    reading: Reading,
    image_size: int,
    interpolation: str,
    max_tokens: int,
    text: TextEncoder,
    on_bad_rows: str,
) -> Prepared:
    """Decode and tokenise what was read. Raises UserError for bad rows, unless they are blanked."""
    table, problems, notes = reading
    pictures, undecodable = decode_pictures(table, image_size, interpolation)
    problems = problems + undecodable
    table, kept = resolve_bad_rows(table, problems, on_bad_rows)
    pictures = Pictures(pictures.pixels, pictures.hashes, pictures.digests, pictures.index[kept])
    limit = min(max_tokens, text.max_tokens)
    captions = tokenise(table.rows["caption"].tolist(), text.tokenizer, limit, text.pad_id)
    remarks = [*notes, *(f"blanked or left out: {problem}" for problem in problems)]
    if captions.cut:
        remarks.append(f"{captions.cut} captions were cut to {limit} tokens")
    for remark in remarks:
        log(remark)
    return Prepared(table, Inputs(pictures, captions), remarks)
