"""The picture files below a folder, by name: for those that are not where the table says."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from extract.tables.files.folder_walk import MAX_FILES, is_file, walk
from extract.tables.parsing.text_cells import unreadable

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"),
    *(".jfif", ".jpe", ".heic", ".heif", ".svg"),
)
"""The last three are not decoded, but named for what they are."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")

NAME, SUFFIX, ZEROS = (
    "by their file names",
    "under another suffix",
    "after adding leading zeros",
)
"""How a picture was found."""


@dataclass
class PictureIndex:
    """The picture files below a folder. The search happens once, when the first name is asked."""

    folder: Path
    limit: int | None = MAX_FILES
    """Files after which the search ends, nearest folders first; None: it does not end."""

    def find(self, path: PurePosixPath) -> tuple[str, list[Path]]:
        """Return how pictures of the name of `path` were found, in any case of letters, and them.

        A name without suffix matches any suffix; one with a suffix of pictures too, if there is no
        picture of exactly that name.
        """
        name = plain_name(path.name)
        plain = name.removesuffix(path.suffix.lower()) if _is_known(path.suffix) else name
        for how, found in (
            (NAME, self.by_name.get(name) or self.by_stem.get(name, [])),
            (SUFFIX, self.by_stem.get(plain, [])),
            (ZEROS, self.by_number.get(plain.lstrip("0"), []) if plain.isdecimal() else []),
        ):
            if found:
                return how, found
        return "", []

    @property
    def by_name(self) -> dict[str, list[Path]]:
        """File name in lower case -> paths."""
        return self._searched[0]

    @property
    def complete(self) -> bool:
        """Whether the whole folder was searched."""
        return self._searched[1]

    @property
    def archives(self) -> list[Path]:
        """Archives, in which the pictures may still be."""
        return self._searched[2]

    @cached_property
    def by_stem(self) -> dict[str, list[Path]]:
        """File name in lower case without suffix -> paths."""
        stems = defaultdict(list)
        for paths in self.by_name.values():
            stems[plain_name(paths[0].stem)] += paths
        return stems

    @cached_property
    def by_number(self) -> dict[str, list[Path]]:
        """File name that is a number, without leading zeros -> paths."""
        numbers = defaultdict(list)
        for stem, paths in self.by_stem.items():
            if stem.isdecimal():
                numbers[stem.lstrip("0")] += paths
        return numbers

    @cached_property
    def _searched(self) -> tuple[dict[str, list[Path]], bool, list[Path]]:
        index, archives, count = defaultdict(list), [], 0
        for folder, names in walk(self.folder):
            for name in names:
                path = folder / name
                if name.lower().endswith(ARCHIVES):
                    archives.append(path)
                elif _is_picture(path):
                    index[plain_name(name)].append(path)
            count += len(names)
            if self.limit is not None and count > self.limit:
                return index, False, archives
        return index, True, archives

    def examples(self, count: int) -> Iterator[str]:
        """Yield paths of some of the pictures, relative to the folder."""
        for paths in [*self.by_name.values()][:count]:
            yield str(paths[0].relative_to(self.folder))


def plain_name(name: str) -> str:
    """Return a name in lower case, with accents composed: macOS stores them apart."""
    return unicodedata.normalize("NFC", name).lower()


def _is_known(suffix: str) -> bool:
    """Return whether a suffix may be left out: that of a picture, or of 7.0, once the number 7."""
    return suffix.lower() in (*IMAGE_SUFFIXES, ".0")


def _is_picture(path: Path) -> bool:
    name = path.name.lower()
    hidden = name.startswith(".")
    return name.endswith(IMAGE_SUFFIXES) and not hidden and is_file(path) and not unreadable(name)
