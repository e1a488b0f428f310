"""The files of memefuse that an exported folder needs: the program, and what it imports."""

import ast
import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_modules(names: Iterable[str], target: Path) -> None:
    """Copy modules, such as heads.knn, and all that they import to the folder `target`.

    What is imported inside a function is left out: fitting needs it, and scoring does not.
    """
    for file in sorted(_with_imports(names)):
        copy = target / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _with_imports(names: Iterable[str]) -> set[Path]:
    found: set[Path] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is not None and file not in found:
            found.add(file)
            waiting += [*_imports(file), *_packages(name)]
    return found


def _file(name: str) -> Path | None:
    """Return the file of a module of memefuse; None for another name."""
    path = ROOT.joinpath(*name.split("."))
    return next((f for f in (path / "__init__.py", path.with_suffix(".py")) if f.is_file()), None)


def _packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _imports(file: Path) -> list[str]:
    """Return what a file imports when it is imported itself. `from a import b` may mean a.b."""
    names = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
