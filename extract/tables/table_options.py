"""How to read the user's tables, where it is not recognised: what the command line's flags say."""

from dataclasses import dataclass, field
from pathlib import Path

from extract.config import ExtractConfig
from extract.tables.columns import RECOGNISE_ALL, Columns
from extract.tables.layouts import find_sources
from extract.tables.review_files import require_review_file
from runtime.errors import UserError, quoted


@dataclass(frozen=True)
class TableOptions:
    """Column names, files and values that the user named; the others are recognised."""

    columns: Columns = RECOGNISE_ALL
    group: str | None = None
    """Name of the column of slices."""
    files: dict[str, Path] = field(default_factory=dict)
    """Split -> its table, relative to the data folder or to the working directory."""
    image_folder: Path | None = None
    """Folder of the pictures, relative likewise."""
    positive: tuple[str, ...] = ()
    """Label values that mean positive, in lower case; all others mean negative."""
    encoding: str = "utf-8"
    shares: tuple[float, float, float] | None = None
    """Shares of train, val and test, into which all labelled rows are divided."""
    unpack_to: Path | None = None
    """Folder for the pictures whose bytes a table holds; None: these are refused."""
    reviews: tuple[Path, ...] = ()
    """Files of reviewers' decisions."""


RECOGNISE = TableOptions()


def table_options(config: ExtractConfig) -> TableOptions:
    """Return the options that the flags give. Raises UserError for a value that is not allowed."""
    named = {"train": config.train, "val": config.val, "test": config.test}
    return TableOptions(
        columns=columns_named(config),
        group=config.group_column,
        files={split: Path(name) for split, name in named.items() if name},
        image_folder=Path(config.image_folder) if config.image_folder else None,
        positive=tuple(v.strip().lower() for v in (config.positive or "").split(",") if v.strip()),
        encoding=_encoding(config.encoding),
        shares=_shares(config.split) if config.split else None,
        reviews=tuple(Path(name) for name in config.add or ()),
    )


def require_tables(config: ExtractConfig) -> None:
    """Raise UserError for a mistyped --data or --add. Needs no library, so it takes no second."""
    options = table_options(config)
    for path in options.reviews:
        require_review_file(path)
    if config.data:
        find_sources(Path(config.data), options.files)


def columns_named(config: ExtractConfig) -> Columns:
    """Return the column names given by flags."""
    return Columns(
        config.id_column,
        config.image_column,
        config.text_column,
        config.label_column,
        config.split_column,
    )


def _encoding(name: str) -> str:
    try:
        return "utf-8" if b"".decode(name) == "" and name.lower() in ("utf8", "utf-8") else name
    except LookupError:
        raise UserError(
            f"--encoding: found {quoted(name)}, allowed are Python's names, such as utf-8, "
            "windows-1252, utf-16, gb18030, shift_jis"
        ) from None


def _shares(text: str) -> tuple[float, float, float]:
    fault = UserError(
        f"--split: found {quoted(text)}, allowed: shares of train, val and test that add up to 1, "
        "such as 0.7,0.1,0.2. Only val may be 0."
    )
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise fault from None
    if min(train, test) <= 0 or val < 0 or abs(train + val + test - 1) > 1e-6:
        raise fault
    return train, val, test
