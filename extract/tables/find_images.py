"""Find the picture that a cell of a table names, below the data folder and nowhere else."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from extract.tables.layouts import is_file, walk
from extract.tables.text_cells import is_absent, unreadable
from runtime.errors import quoted, quoted_list

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif")

SHOWN = 3
"""Number of paths in a message about pictures with the same name."""


@dataclass
class ImageFinder:
    """The pictures below a folder, indexed when the first one is not where a table says."""

    root: Path
    folder: Path | None = None
    """The folder that the user named: the only one that is searched."""
    by_name: list[tuple[str, Path]] = field(default_factory=list)
    """Cells whose picture was found by its file name alone."""
    by_number: list[tuple[str, Path]] = field(default_factory=list)
    """Cells whose picture was found after adding leading zeros."""

    def find(self, value: str, table: Path, folders: Iterable[str]) -> tuple[str, str | None]:
        """Return the path of the picture that a cell of `table` names, and what is wrong.

        Both are empty for a cell without a value. A name without folder is also searched in
        `folders`; one without suffix also with those of IMAGE_SUFFIXES. If the path of the table
        does not exist, its file name is searched everywhere below the data folder, in any case of
        letters. The table cannot name what lies outside; links in the data folder are followed.
        """
        if is_absent(value):
            return "", None
        if fault := unreadable(value):
            return "", fault
        path = PurePosixPath(value.strip().replace("\\", "/"))
        if ".." in path.parts or not path.name:
            return "", f"found {quoted(value)}, allowed a path that stays in the data folder"
        inside = self._inside(path, value)
        found = inside and self._direct(inside, table, folders)
        return (str(found), None) if found else self._by_name(path, table, folders)

    def _inside(self, path: PurePosixPath, value: str) -> PurePosixPath | None:
        """Return the path relative to the root; None for an absolute one that leads elsewhere."""
        if not path.is_absolute() and not PureWindowsPath(value).drive:
            return path
        for root in (self.root, self.root.resolve()):
            if path.is_relative_to(root.as_posix()):
                return path.relative_to(root.as_posix())
        return None

    def _direct(self, path: PurePosixPath, table: Path, folders: Iterable[str]) -> Path | None:
        searched = ["."] if len(path.parts) > 1 else [".", *dict.fromkeys(folders)]
        bases = [self.folder] if self.folder else dict.fromkeys((self.root, table.parent))
        names = [path] if path.suffix else [f"{path}{end}" for end in ("", *IMAGE_SUFFIXES)]
        candidates = (base / below / name for base in bases for below in searched for name in names)
        return next((found for found in candidates if is_file(found)), None)

    def _by_name(
        self, path: PurePosixPath, table: Path, folders: Iterable[str]
    ) -> tuple[str, str | None]:
        name = path.name.lower()
        found = self._index.get(name) or self._stems.get(name, [])
        zeros = not found and path.stem.isdecimal()
        if zeros:
            found = self._numbers.get(path.stem.lstrip("0"), [])
        found = _narrow(found, path, table, [*folders])
        if len(found) == 1:
            (self.by_number if zeros else self.by_name).append((str(path), found[0]))
            return str(found[0]), None
        if not found:
            return "", f"no image {quoted(str(path))} in {self.folder or self.root}"
        shown = quoted_list(str(one.relative_to(self.folder or self.root)) for one in found[:SHOWN])
        return "", f"{len(found)} images are called {quoted(path.name)}: {shown}"

    def notes(self) -> Iterator[str]:
        """Yield a sentence for each kind of picture that is not where the table says."""
        for found, how in (
            (self.by_name, "by their file names"),
            (self.by_number, "after adding leading zeros"),
        ):
            if found:
                value, path = found[0]
                shown = path.relative_to(self.folder or self.root)
                yield (
                    f"{len(found)} pictures were found {how}, for example {shown} for "
                    f"{quoted(value)} in the table."
                )

    @property
    def has_images(self) -> bool:
        """Whether there is any picture file at all."""
        return bool(self._index)

    @cached_property
    def _index(self) -> dict[str, list[Path]]:
        """File name in lower case -> paths."""
        index = defaultdict(list)
        for folder, _, names in walk(self.folder or self.root):
            for name in names:
                if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                    path = folder / name
                    if is_file(path) and not unreadable(str(path)):
                        index[name.lower()].append(path)
        return index

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        """File name in lower case without suffix -> paths."""
        stems = defaultdict(list)
        for paths in self._index.values():
            stems[paths[0].stem.lower()] += paths
        return stems

    @cached_property
    def _numbers(self) -> dict[str, list[Path]]:
        """File name that is a number, without leading zeros -> paths."""
        numbers = defaultdict(list)
        for stem, paths in self._stems.items():
            if stem.isdecimal():
                numbers[stem.lstrip("0")] += paths
        return numbers


def _narrow(found: list[Path], path: PurePosixPath, table: Path, folders: list[str]) -> list[Path]:
    """Choose among pictures of one name: by the folders of the path, then those near the table."""
    wanted = [part.lower() for part in path.parts[:-1]]
    for tail in range(len(wanted), 0, -1):
        same = [p for p in found if [q.lower() for q in p.parts[-tail - 1 : -1]] == wanted[-tail:]]
        if same:
            return same
    beside = [p for p in found if p.is_relative_to(table.parent)]
    named = [p for p in found if set(p.parts) & set(folders)]
    for choice in (beside, named):
        if len(choice) == 1:
            return choice
    return found
