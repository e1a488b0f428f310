"""Recognise the columns of a table: id, image, caption, label and split."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from extract.tables.column_contents import LOOKS, columns_like
from extract.tables.files.picture_index import IMAGE_SUFFIXES
from extract.tables.labels import is_negative
from extract.tables.parsing.parsed_table import Table
from runtime.errors import UserError, argument, quoted, quoted_list

RECOGNISED_NAMES = {
    "id": ("id", "image_id", "meme_id"),
    "image": (
        *("img", "image", "image_path", "img_path", "image_file"),
        *("file_name", "filename", "image_name", "img_name", "path", "images", "picture"),
    ),
    "text": (
        *("text", "caption", "sentence", "captions", "text_transcription", "transcription"),
        *("ocr_text", "ocr", "meme_text"),
    ),
    "label": (
        *("label", "labels", "hateful", "target", "class", "is_hateful", "y"),
        *("hate", "gold_hate", "misogynous"),
    ),
    "split": ("split", "set", "partition"),
}
"""Role of a column -> column names recognised for it, in lower case, with _ for spaces."""

WEAKER_NAMES = {
    "text": ("text_corrected", "text_ocr", "ocr_extracted_text", "extracted_text", "tweet_text"),
    "label": (
        *("is_hate", "hate_speech", "is_hatespeech", "offensive", "is_offensive", "harmful"),
        *("gold_label", "misogyny", "is_misogynous"),
    ),
}
"""The same for names that count if the table has none of RECOGNISED_NAMES."""

MAX_COLUMNS = 100
"""Columns after the first of these are recognised by their names only."""

MAX_LIKELY = 2
"""More columns that could be the one that is missing are not named."""


@dataclass(frozen=True)
class Columns:
    """Column names by role.

    In a request, None means: recognise the column. In a result, None means: there is none.
    """

    id: str | None = None
    image: str | None = None
    text: str | None = None
    label: str | None = None
    split: str | None = None


RECOGNISE_ALL = Columns()


def resolve_columns(
    table: Table, requested: Columns, *, needs_label: bool, needs_split: bool
) -> Columns:
    """Return the column names of a table.

    Without an image column, one whose cells name picture files is taken. Without an id column, the
    image column is used as the id, and vice versa. `split` is None unless it is requested or
    needed, because otherwise the file name gives the split. `text` and `image` are None if there
    is no such column.
    Raises UserError for a column that is missing, ambiguous, or requested but not in the header.
    """
    split = _find_split(table, requested, needs_split)
    image = _find(table, "image", requested) or _column_of_pictures(table)
    id_column = _find(table, "id", requested) or image
    return Columns(
        id=id_column or raise_missing(table, ("id", "image")),
        image=image or id_column,
        text=_find(table, "text", requested),
        label=_find_label(table, requested, needs_label),
        split=split,
    )


def _column_of_pictures(table: Table) -> str | None:
    found = columns_like(table, "image", _unrecognised(table))
    return _only(found, "image", table) if found else None


def find_group(header: Sequence[str], name: str | None, file: str, *, needed: bool) -> str | None:
    """Return `name` if it is a column; None if it is not and not needed, or not requested.

    Raises UserError if it is needed.
    """
    if name is None or name in header:
        return name
    return _raise_no_such_column(header, "group", name, file) if needed else None


def _find_label(table: Table, requested: Columns, needed: bool) -> str | None:
    if not needed and requested.label is not None and requested.label not in table.header:
        return None  # The flag names the column of the train table; test tables often have none.
    found = _find(table, "label", requested)
    return found or (_raise_no_label(table) if needed else None)


def _raise_no_label(table: Table) -> NoReturn:
    """Raise UserError: labels may be in another file, or say the opposite."""
    opposite = [n for n in columns_like(table, "label", table.header) if is_negative(_plain(n))]
    alternative = "or, if names or other files have the labels, add them as a column label"
    if opposite:
        flags = f"--label-column {argument(opposite[0])} --positive 0,false"
        alternative = f"or, if {quoted(opposite[0])} means the opposite: {flags}"
    raise_missing(table, ("label",), alternative)


def _find_split(table: Table, requested: Columns, needed: bool) -> str | None:
    if not needed and requested.split is None:
        return None
    alternative = (
        f"or put train.csv and test.csv side by side ({table.file} is the only table read), or "
        "divide its rows: --split 0.7,0.1,0.2"
    )
    found = _find(table, "split", requested)
    return found or raise_missing(table, ("split",), alternative)


def _find(table: Table, role: str, requested: Columns) -> str | None:
    name = getattr(requested, role)
    if name is not None:
        known = name in table.header
        return name if known else _raise_no_such_column(table.header, role, name, table.file)
    found = recognised(table.header, role)
    return _only(found, role, table) if found else None


def _only(found: list[str], role: str, table: Table) -> str:
    if len(found) > 1:
        likely = columns_like(table, role, found) if role in LOOKS else []
        raise UserError(
            f"{table.file}: {' and '.join(map(quoted, found))} could each be the {role} column. "
            f"Choose one, for example: --{role}-column {argument([*likely, *found][0])}"
        )
    return found[0]


def recognised(header: Sequence[str], role: str) -> list[str]:
    """Return the columns of `header` whose name is recognised for `role`."""
    plain = {name: _plain(name) for name in header}
    for names in (RECOGNISED_NAMES[role], WEAKER_NAMES.get(role, ())):
        if found := [name for name in header if plain[name] in names]:
            return found
    return []


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def _raise_no_such_column(header: Sequence[str], role: str, name: str, file: str) -> NoReturn:
    lowered = {column.lower(): column for column in header}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered)]
    hint = f" Did you mean {' or '.join(map(quoted, close))}?" if close else ""
    raise UserError(
        f"{file}: --{role}-column {quoted(name)} is not a column; found "
        f"{quoted_list(header)}.{hint}"
    )


def raise_missing(table: Table, roles: Sequence[str], alternative: str = "") -> NoReturn:
    """Raise UserError: no column of `table` is recognised for any of `roles`.

    Names the column that it may be, if one has a similar name or content.
    """
    if all(map(_looks_like_a_cell, table.header)):
        raise UserError(
            f"{table.file}: its first line {quoted_list(table.header)} is not a header. If "
            "the next one is, remove it; else add one, such as: id,img,text,label"
        )
    usual = "; ".join(f"{role}: {', '.join(RECOGNISED_NAMES[role])}" for role in roles)
    likely = [(role, name) for role in roles for name in _likely(table, role)]
    flags = " or ".join(f"--{role}-column {argument(name)}" for role, name in likely)
    flags = flags or " or ".join(f"--{role}-column NAME" for role in roles)
    raise UserError(
        f"{table.file}: no {' or '.join(roles)} column among {quoted_list(table.header)}. "
        f"Recognised names are {usual}. "
        f"Name your column with {flags}{', ' * bool(alternative)}{alternative}."
    )


def _likely(table: Table, role: str) -> list[str]:
    free = [n for n in _unrecognised(table) if role != "label" or not is_negative(_plain(n))]
    usual = RECOGNISED_NAMES[role]
    similar = [n for n in free if difflib.get_close_matches(_plain(n), usual, 1, cutoff=0.75)]
    found = similar or (columns_like(table, role, free) if role in LOOKS else [])
    return found if len(found) <= MAX_LIKELY else []


def _unrecognised(table: Table) -> list[str]:
    """Return the first columns whose name is not recognised for any role."""
    names = table.header[:MAX_COLUMNS]
    return [n for n in names if not any(recognised([n], role) for role in RECOGNISED_NAMES)]


def _looks_like_a_cell(name: str) -> bool:
    """Return whether a name is more likely a cell: a number, the name of a picture, or words."""
    return not name or name[0].isdigit() or name.lower().endswith(IMAGE_SUFFIXES) or " " in name
