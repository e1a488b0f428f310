"""Which column of a table holds the id, picture, caption, label and split."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import UserError, quoted, quoted_list

RECOGNISED = {
    "id": ("id", "image_id", "meme_id"),
    "image": (
        *("img", "image", "image_path", "img_path"),
        *("file_name", "filename", "image_name", "path"),
    ),
    "text": ("text", "caption", "sentence", "captions"),
    "label": ("label", "hateful", "target", "class", "is_hateful", "y"),
    "split": ("split", "set", "partition"),
}

SPLIT_WORDS = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev", "dev_seen", "dev_unseen"), "val"),
    **dict.fromkeys(("test", "test_seen", "test_unseen"), "test"),
}
"""What a split is called in file names and split columns, and which split that is."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns; None = recognise (asked for), or not there (found)."""

    id: str | None = None
    image: str | None = None
    text: str | None = None
    label: str | None = None
    split: str | None = None


RECOGNISE = Columns()


def resolve_columns(
    header: Sequence[str], asked: Columns, file: str, *, needs_label: bool, needs_split: bool
) -> Columns:
    """Return the columns of `file` by name; without an id column the image is the id, and back.

    `split` is None unless it is asked for or needed: the name of the file says the split.
    Raises UserError for a column that is missing, ambiguous, or asked for and not there.
    """
    split = _find_split(header, asked, file, needs_split)
    image = _find(header, "image", asked, file)
    key = _find(header, "id", asked, file) or image
    return Columns(
        id=key or _missing(header, ("id", "image"), file),
        image=image or key,
        text=_find(header, "text", asked, file) or _missing(header, ("text",), file),
        label=_find_label(header, asked, file, needs_label),
        split=split,
    )


def _find_label(header: Sequence[str], asked: Columns, file: str, needed: bool) -> str | None:
    if not needed and asked.label is not None and asked.label not in header:
        return None  # the flag names the train table's column; test tables often have none
    found = _find(header, "label", asked, file)
    return found or (_missing(header, ("label",), file) if needed else None)


def _find_split(header: Sequence[str], asked: Columns, file: str, needed: bool) -> str | None:
    if not needed and asked.split is None:
        return None
    apart = f"or put train.csv and test.csv side by side: {file} is the only table read"
    return _find(header, "split", asked, file) or _missing(header, ("split",), file, apart)


def _find(header: Sequence[str], role: str, asked: Columns, file: str) -> str | None:
    name = getattr(asked, role)
    if name is not None:
        return name if name in header else _no_such_column(header, role, name, file)
    found = recognised(header, role)
    if len(found) > 1:
        raise UserError(
            f"{file}: {' and '.join(map(quoted, found))} could each be the {role} column. "
            f"Choose one with --{role}-column."
        )
    return found[0] if found else None


def recognised(header: Sequence[str], role: str) -> list[str]:
    """Return the columns of `header` whose name is usual for `role`."""
    return [name for name in header if name.lower() in RECOGNISED[role]]


def _no_such_column(header: Sequence[str], role: str, name: str, file: str) -> str:
    lowered = {column.lower(): column for column in header}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered)]
    hint = f" Did you mean {' or '.join(map(quoted, close))}?" if close else ""
    raise UserError(
        f"{file}: --{role}-column {quoted(name)} is not a column; found {quoted_list(header)}.{hint}"
    )


def _missing(header: Sequence[str], roles: Sequence[str], file: str, instead: str = "") -> str:
    usual = "; ".join(f"{role}: {', '.join(RECOGNISED[role])}" for role in roles)
    flags = " or ".join(f"--{role}-column NAME" for role in roles)
    raise UserError(
        f"{file}: no {' or '.join(roles)} column among {quoted_list(header)}. "
        f"Recognised are {usual}. Name yours with {flags}{', ' * bool(instead)}{instead}."
    )
