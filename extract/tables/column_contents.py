"""What the cells of a column say about its role, if its name is not recognised."""

from collections.abc import Callable, Iterable

from extract.tables.files.picture_index import IMAGE_SUFFIXES
from extract.tables.labels import LABELS, UNKNOWN, elements_of
from extract.tables.parsing.parsed_table import Table, UnpackedPicture
from runtime.errors import UserError, quoted, quoted_list

READ = 1000
"""Number of rows that are looked at."""


def columns_like(table: Table, role: str, names: Iterable[str]) -> list[str]:
    """Return those of the columns `names` whose cells, where not empty, look like `role`.

    Roles are image (names of pictures), text (several words) and label (0 and 1, false and true).
    """
    looks = LOOKS[role]
    return [name for name in names if name in table.header and looks(_cells(table, name))]


def require_captions(table: Table, name: str | None) -> None:
    """Raise UserError if the cells of the caption column are names of files."""
    cells = _cells(table, name) if name else []
    named = [cell for cell in cells if cell.endswith((".txt", *IMAGE_SUFFIXES)) and " " not in cell]
    if len(named) > len(cells) / 2:
        raise UserError(
            f"{table.file}: column {name} holds names of files, such as {quoted(named[0])}, rather "
            "than captions. Write the captions into it, or name another with --text-column NAME"
        )


def require_one_label(table: Table, name: str | None) -> None:
    """Raise UserError if a label is a list of votes: its first value is also second elsewhere."""
    cells = [fields.get(name, "") for _, fields in table.records[:READ]] if name else []
    lists = [[str(one) for one in elements_of(cell)] for cell in cells]
    if {one for cell in lists for one in cell[:1]} & {one for cell in lists for one in cell[1:]}:
        votes = next(cell for cell in lists if len(cell) > 1)
        raise UserError(
            f"{table.file}: column {name} holds several labels a row, such as {quoted_list(votes)}."
            " Add a column with one label a row, such as that of most annotators, and name it with "
            "--label-column NAME"
        )


def _cells(table: Table, name: str) -> list[str]:
    cells = [fields.get(name, "") for _, fields in table.records[:READ]]
    texts = [cell for cell in cells if isinstance(cell, str | UnpackedPicture)]
    return [text for cell in texts if (text := str(cell).strip().lower())]


def _names_pictures(cells: list[str]) -> bool:
    named = sum(cell.endswith(IMAGE_SUFFIXES) and "://" not in cell for cell in cells)
    return named > len(cells) / 2


def _holds_words(cells: list[str]) -> bool:
    return sum(" " in cell for cell in cells) > len(cells) / 2


def _holds_labels(cells: list[str]) -> bool:
    values = {LABELS.get(cell) for cell in cells if cell not in UNKNOWN}
    return values == {0, 1}


LOOKS: dict[str, Callable[[list[str]], bool]] = {
    "image": _names_pictures,
    "text": _holds_words,
    "label": _holds_labels,
}
