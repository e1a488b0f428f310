"""Load the user's data into memory: checked rows, decoded pictures and tokenised captions."""

import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from extract.data.batches import Inputs
from extract.data.fingerprint import data_fingerprint
from extract.data.image_decoding import Pictures, decode_pictures
from extract.data.read_captions import read_captions
from extract.data.tokenisation import Captions, tokenise
from extract.tables.bad_rows import resolve_bad_rows
from extract.tables.meme_table import MemeTable
from extract.tables.parsing.problem import summarise
from extract.tables.read_memes import ReadResult
from extract.towers.encoders import TextEncoder
from features.feature_table import Rows
from runtime.progress import log

MAX_UNKNOWN_TOKENS = 0.05
"""A larger share of tokens that the tokenizer does not know is reported."""


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

    def rows(self, group: np.ndarray, fold: np.ndarray) -> Rows:
        """Return the rows as features.h5 holds them, with a group and a fold (N,) of each."""
        columns = self.table.rows
        return Rows(
            id=columns["id"].to_numpy(dtype=object),
            split=columns["split"].to_numpy(dtype=object),
            label=columns["label"].to_numpy(),
            group=group,
            fold=fold,
            order=columns["order"].to_numpy(),
        )

    def subset(self, rows: slice) -> Self:
        """Return some of the rows, without the pictures and captions of others."""
        table = replace(self.table, rows=self.table.rows.iloc[rows].reset_index(drop=True))
        return replace(self, table=table, inputs=self.inputs.subset(rows))

    def take(self, position: np.ndarray) -> Self:
        """Return the rows at the given positions, which may repeat, with the same pictures."""
        inputs = self.inputs
        pictures = replace(inputs.pictures, index=inputs.pictures.index[position])
        captions = replace(inputs.captions, index=inputs.captions.index[position])
        rows = self.table.rows.iloc[position].reset_index(drop=True)
        return replace(
            self,
            table=replace(self.table, rows=rows),
            inputs=replace(inputs, pictures=pictures, captions=captions),
        )

    def with_columns(self, **columns: np.ndarray) -> Self:
        """Return the same rows with other values in some columns of the table."""
        return replace(self, table=replace(self.table, rows=self.table.rows.assign(**columns)))

    def fingerprint(self) -> str:
        """Return the `data_fingerprint` of the rows."""
        return data_fingerprint(self.table, self.inputs.pictures)


def without_captions(table: MemeTable, pictures: Pictures) -> LoadedData:
    """Return what can be known of a table before its captions are tokenised."""
    return LoadedData(table, Inputs(pictures, Captions([], pictures.index, 0, 0)), [])


def load_data(
    reading: ReadResult,
    image_size: int,
    interpolation: str,
    max_tokens: int,
    text: TextEncoder,
    on_bad_rows: str,
    read_absent: bool = False,
) -> LoadedData:
    """Decode the pictures and tokenise the captions of a table that was read.

    With `read_absent`, absent captions are read off the pictures first. Raises UserError for bad
    rows, unless they are blanked, and if the packages that read captions are missing.
    """
    table, problems, notes = reading
    pictures, undecodable = decode_pictures(table, image_size, interpolation)
    problems = problems + undecodable
    table, positions = resolve_bad_rows(table, problems, on_bad_rows)
    pictures = replace(pictures, index=pictures.index[positions])
    remarks = [*notes, *(f"blanked or left out: {line}" for line in summarise(problems))]
    if read_absent:
        table, remark = read_captions(table, pictures)
        remarks.append(remark)
    limit = min(max_tokens, text.max_tokens)
    captions = tokenise(table.rows["caption"].tolist(), text.tokenizer, limit, text.pad_id)
    if captions.truncated:
        remarks.append(f"{captions.truncated} captions were truncated to {limit} tokens")
    if captions.unknown > MAX_UNKNOWN_TOKENS:
        remarks.append(_unknown_tokens(captions.unknown, table.rows["caption"].tolist()))
    for remark in remarks:
        log(remark)
    return LoadedData(table, Inputs(pictures, captions), remarks)


def _unknown_tokens(share: float, captions: list[str]) -> str:
    """Say how much of the captions is lost, in which script, and which weights would know it."""
    scripts = Counter(
        "emoji"
        if unicodedata.category(letter)[0] in "SMC"
        else unicodedata.name(letter, "?").split()[0]
        for caption in captions
        for letter in caption
        if ord(letter) > 127 and not letter.isspace()
    )
    common = ", ".join(name for name, _ in scripts.most_common(2)) or "no letters"
    return (
        f"WARNING: {share:.0%} of the tokens in captions are unknown to this tokenizer (mostly "
        f"{common}), so the text backbone cannot tell these captions apart. Pass --text-weights "
        "with a model that knows them, such as xlm-roberta-base (100 languages)."
    )
