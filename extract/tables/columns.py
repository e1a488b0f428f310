"""Recognise the columns of a table: id, image, caption, label and split."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import UserError, quoted, quoted_list

RECOGNISED_NAMES = {
    "id": ("id", "image_id", "meme_id"),
    "image": (
        *("img", "image", "image_path", "img_path", "image_file"),
        *("file_name", "filename", "image_name", "img_name", "path"),
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

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "dev_seen", "dev_unseen"), "val"),
    **dict.fromkeys(("test", "testing", "test_seen", "test_unseen"), "test"),
}
"""Name of a split in file names and split columns -> split."""


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
    header: Sequence[str], requested: Columns, file: str, *, needs_label: bool, needs_split: bool
) -> Columns:
    """Return the column names of `file`.

    Without an id column, the image column is used as the id, and vice versa. `split` is None
    unless it is requested or needed, because otherwise the file name gives the split. `text` and
    `image` are None if there is no such column.
    Raises UserError for a column that is missing, ambiguous, or requested but not in the header.
    """
    split = _find_split(header, requested, file, needs_split)
    image = _find(header, "image", requested, file)
    id_column = _find(header, "id", requested, file) or image
    return Columns(
        id=id_column or raise_missing(header, ("id", "image"), file),
        image=image or id_column,
        text=_find(header, "text", requested, file),
        label=_find_label(header, requested, file, needs_label),
        split=split,
    )


def find_group(header: Sequence[str], name: str | None, file: str, *, needed: bool) -> str | None:
    """Return `name` if it is a column; None if it is not and not needed, or not requested.

    Raises UserError if it is needed.
    """
    if name is None or name in header:
        return name
    return _raise_no_such_column(header, "group", name, file) if needed else None


def _find_label(header: Sequence[str], requested: Columns, file: str, needed: bool) -> str | None:
    if not needed and requested.label is not None and requested.label not in header:
        return None  # The flag names the column of the train table; test tables often have none.
    found = _find(header, "label", requested, file)
    return found or (raise_missing(header, ("label",), file) if needed else None)


def _find_split(header: Sequence[str], requested: Columns, file: str, needed: bool) -> str | None:
    if not needed and requested.split is None:
        return None
    alternative = (
        f"or put train.csv and test.csv side by side ({file} is the only table read), or divide "
        "its rows: --split 0.7,0.1,0.2"
    )
    found = _find(header, "split", requested, file)
    return found or raise_missing(header, ("split",), file, alternative)


def _find(header: Sequence[str], role: str, requested: Columns, file: str) -> str | None:
    name = getattr(requested, role)
    if name is not None:
        return name if name in header else _raise_no_such_column(header, role, name, file)
    found = recognised(header, role)
    if len(found) > 1:
        raise UserError(
            f"{file}: {' and '.join(map(quoted, found))} could each be the {role} column. "
            f"Choose one with --{role}-column."
        )
    return found[0] if found else None


def recognised(header: Sequence[str], role: str) -> list[str]:
    """Return the columns of `header` whose name is recognised for `role`."""
    plain = {name: name.lower().replace(" ", "_").replace("-", "_") for name in header}
    return [name for name in header if plain[name] in RECOGNISED_NAMES[role]]


def _raise_no_such_column(header: Sequence[str], role: str, name: str, file: str) -> str:
    lowered = {column.lower(): column for column in header}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered)]
    hint = f" Did you mean {' or '.join(map(quoted, close))}?" if close else ""
    raise UserError(
        f"{file}: --{role}-column {quoted(name)} is not a column; found "
        f"{quoted_list(header)}.{hint}"
    )


def raise_missing(
    header: Sequence[str], roles: Sequence[str], file: str, alternative: str = ""
) -> str:
    usual = "; ".join(f"{role}: {', '.join(RECOGNISED_NAMES[role])}" for role in roles)
    flags = " or ".join(f"--{role}-column NAME" for role in roles)
    raise UserError(
        f"{file}: no {' or '.join(roles)} column among {quoted_list(header)}. "
        f"Recognised names are {usual}. "
        f"Name your column with {flags}{', ' * bool(alternative)}{alternative}."
    )
