"""Find the picture that a cell of a table names, below the data folder and nowhere else."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

from extract.tables.files.folder_walk import MAX_FILES, is_file
from extract.tables.files.picture_index import IMAGE_SUFFIXES, PictureIndex
from extract.tables.parsing.split_names import split_in
from extract.tables.parsing.text_cells import is_absent, unreadable
from runtime.errors import quoted, quoted_list

SHOWN = 3
"""Number of paths in a message."""


@dataclass
class ImageFinder:
    """The pictures below a folder, indexed when the first one is not where a table says."""

    root: Path
    folder: Path | None = None
    """The folder that the user named: the only one that is searched."""
    elsewhere: dict[str, list[tuple[str, Path]]] = field(default_factory=lambda: defaultdict(list))
    """How pictures were found that are not where the table says -> cells and their pictures."""
    missing: int = 0
    """Number of cells whose picture is nowhere."""
    _folders: dict[Path, bool] = field(default_factory=dict)
    _doubled_in: dict[Path, set[str]] = field(default_factory=dict)

    def find(
        self, value: str, table: Path, folders: Iterable[str], split: str | None = None
    ) -> tuple[str, str | None]:
        """Return the path of the picture that a cell of `table` names, and what is wrong.

        Both are empty for a cell without a value. A name without folder is also searched in
        `folders`; one without suffix also with those of IMAGE_SUFFIXES. If the path of the table
        does not exist, its file name is searched everywhere below the data folder, in any case of
        letters; of several, that in a folder called after the `split` counts. The table cannot name
        what lies outside; links in the data folder are followed.
        """
        if is_absent(value):
            return "", None
        if fault := unreadable(value):
            return "", fault
        paths = _readings(value.strip())
        if not paths:
            return "", f"found {quoted(value)}, allowed the path of a picture"
        inside = [one for path in paths for one in self._inside(path, table)]
        if not inside and ".." in paths[0].parts and self.folder is None:
            return "", f"found {quoted(value)}, allowed a path that stays in the data folder"
        for path in inside:
            if found := self._direct(path, table, folders):
                return str(found), None
        return self._by_name(paths, value, table, [*folders], split)

    def _inside(self, path: PurePosixPath, table: Path) -> Iterator[PurePosixPath]:
        """Yield the path relative to the root: none for one that leads out of it.

        A path with .. starts at the folder of the table, or at the root.
        """
        if path.is_absolute() or PureWindowsPath(path).drive:
            path = PurePosixPath(os.path.normpath(path))
            for root in dict.fromkeys((self.root, self.root.resolve())):
                if path.is_relative_to(root.as_posix()):
                    yield path.relative_to(root.as_posix())
        elif ".." not in path.parts:
            yield path
        else:
            root, beside = self.root.resolve(), table.parent.resolve()
            starts = {beside: None} if beside.is_relative_to(root) else {}
            for start in {**starts, root: None}:
                whole = PurePosixPath(os.path.normpath(start / path))
                if whole.is_relative_to(root.as_posix()):
                    yield whole.relative_to(root.as_posix())

    def _direct(self, path: PurePosixPath, table: Path, folders: Iterable[str]) -> Path | None:
        searched = ["."] if len(path.parts) > 1 else [".", *dict.fromkeys(folders)]
        bases = [self.folder] if self.folder else dict.fromkeys((self.root, table.parent))
        names = [path] if path.suffix else [f"{path}{end}" for end in ("", *IMAGE_SUFFIXES)]
        below_bases = (base / below for base in bases for below in searched)
        existing = (folder for folder in below_bases if self._is_folder(folder))
        candidates = (folder / name for folder in existing for name in names)
        found = next((found for found in candidates if is_file(found)), None)
        several = found and not path.suffix and path.name in self._doubled(found.parent)
        return None if several else found

    def _is_folder(self, path: Path) -> bool:
        if path not in self._folders:
            self._folders[path] = path.is_dir()
        return self._folders[path]

    def _doubled(self, folder: Path) -> set[str]:
        """Return the names without suffix that several pictures of a folder have."""
        if folder not in self._doubled_in:
            names = map(os.path.splitext, (path.name for path in folder.iterdir()))
            counts = Counter(stem for stem, suffix in names if suffix.lower() in IMAGE_SUFFIXES)
            self._doubled_in[folder] = {stem for stem, count in counts.items() if count > 1}
        return self._doubled_in[folder]

    def _by_name(
        self,
        paths: list[PurePosixPath],
        value: str,
        table: Path,
        folders: list[str],
        split: str | None,
    ) -> tuple[str, str | None]:
        for path in paths:
            how, found = self._index.find(path)
            found = _narrow(found, path, table, self._of_split(found, split), folders)
            if len(found) == 1 and self._is_of_another_split(found[0], split):
                other = quoted(self._shown(found[0]))
                return "", f"{quoted(value)} is only in the folder of another split: {other}"
            if len(found) == 1:
                self.elsewhere[how].append((value, found[0]))
                return str(found[0]), None
            if found:
                shown = quoted_list(self._shown(one) for one in found[:SHOWN])
                return "", f"{len(found)} images are called {quoted(path.name)}: {shown}"
        if broken := self._broken_link(paths[0]):
            return "", f"{quoted(value)} is a link to {broken}, which does not exist"
        self.missing += 1
        return "", f"no image {quoted(value.strip())} in {self._index.folder}"

    def _of_split(self, pictures: list[Path], split: str | None) -> list[Path]:
        return [path for path in pictures if split and self._split_of(path) == split]

    def _is_of_another_split(self, picture: Path, split: str | None) -> bool:
        """Return whether its folder names another split, while there is one of this split."""
        return self._split_of(picture) not in (None, split) and split in self._splits

    def _split_of(self, picture: Path) -> str | None:
        """Return the split that the folder of a picture names, or else the folder above it."""
        folders = picture.relative_to(self._index.folder).parts[-2:-4:-1]
        return next(filter(None, map(split_in, folders)), None)

    @cached_property
    def _splits(self) -> set[str | None]:
        """The splits that folders of pictures name."""
        folders = {path.parent for paths in self._index.by_name.values() for path in paths}
        return {self._split_of(folder / "picture") for folder in folders} - {None}

    def _broken_link(self, path: PurePosixPath) -> str | None:
        link = self._index.folder / path
        try:
            inside = ".." not in path.parts and not path.is_absolute()
            return quoted(str(link.readlink())) if inside and link.is_symlink() else None
        except OSError:
            return None

    def notes(self) -> Iterator[str]:
        """Yield a sentence for each kind of picture that is not where the table says."""
        for how, found in self.elsewhere.items():
            value, path = found[0]
            yield (
                f"{len(found)} pictures were found {how}, for example {self._shown(path)} for "
                f"{quoted(value)} in the table."
            )

    def advice(self) -> str:
        """Say what was searched, and what to do about pictures that are not found."""
        index = self._index
        named = "name the folder of the pictures: --image-folder DIR"
        if not index.complete:
            return f"The first {MAX_FILES:,} files below {index.folder} were searched; {named}"
        if index.by_name:
            count, shown = sum(map(len, index.by_name.values())), quoted_list(index.examples(SHOWN))
            return f"{index.folder} holds {count:,} pictures, such as {shown}; if others, {named}"
        if index.archives:
            shown = quoted_list(self._shown(path) for path in index.archives[:SHOWN])
            return f"{index.folder} holds no picture, but {shown}: unpack it"
        return f"{index.folder} holds no picture (none is downloaded); {named}"

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._index.folder))

    @property
    def has_images(self) -> bool:
        """Whether there is any picture file at all."""
        return bool(self._index.by_name)

    @cached_property
    def _index(self) -> PictureIndex:
        return PictureIndex(self.folder or self.root, None if self.folder else MAX_FILES)


def _readings(value: str) -> list[PurePosixPath]:
    """Return what a cell may mean: the path as written, then that of a URL or with %20 decoded."""
    meant = [value.replace("\\", "/")]
    if "://" in value:
        meant = [urlsplit(value).path] if _is_url(value) else meant
    if "%" in value:
        meant += [decoded for one in meant if not unreadable(decoded := unquote(one))]
    return [
        path for path in map(PurePosixPath, dict.fromkeys(meant)) if path.name not in ("", "..")
    ]


def _is_url(value: str) -> bool:
    try:
        return bool(urlsplit(value).path)
    except ValueError:
        return False


def _narrow(
    found: list[Path], path: PurePosixPath, table: Path, of_split: list[Path], folders: list[str]
) -> list[Path]:
    """Choose among pictures of one name: by the folders of the path, then those near the table."""
    wanted = [part.lower() for part in path.parts[:-1]]
    for tail in range(len(wanted), 0, -1):
        same = [p for p in found if [q.lower() for q in p.parts[-tail - 1 : -1]] == wanted[-tail:]]
        if same:
            return same
    beside = [p for p in found if p.is_relative_to(table.parent)]
    named = [p for p in found if p.parent.name in folders]
    for choice in (beside, of_split, named):
        if len(choice) == 1:
            return choice
    return found
