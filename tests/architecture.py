"""The architecture of the source: layers, imports between modules, and sizes of folders.

`python tests/architecture.py` prints it.
"""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = (
    "runtime",
    "runtime.files",
    "runtime.lock",
    "runtime.cluster",
    "features",
    "extract.frozen_sources",
    "extract.config",
    "extract.sample",
    "extract.towers.layouts",
    "extract.towers",
    "extract.tables.parsing",
    "extract.tables.files",
    "extract.tables",
    "extract.data",
    "extract.folds",
    "extract.training",
    "extract.spaces",
    "extract.doctor",
    "extract",
    "heads.networks",
    "heads.registry",
    "heads.evaluation",
    "heads.decision",
    "heads.fitting",
    "heads.ensemble",
    "heads.check",
    "heads.report",
    "heads",
    "serve.drift",
    "serve.review",
    "serve",
    "serve.shards",
    "serve.export",
    "pipeline",
)
"""From the bottom up. A module is in the layer of the longest of these names that contains it, and
imports only from its layer and those below. `extract` and `heads` never import each other."""
STAGES = ("extract", "heads")
SHARED_NAMES = {"__init__.py", "config.py", "run.py", "status.py", "predict.py"}
"""File names that may occur in both stages. All other names must be unique."""
MAX_ENTRIES = 13
"""Maximum of files, and of subfolders, in a folder. `__init__.py`, caches and the registered heads
are not counted."""
PACKAGES = ("runtime", "features", "extract", "heads", "serve")
SOURCES = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
SOURCES.append(ROOT / "pipeline.py")


def module_name(path: Path) -> str:
    """Return the module name of a file, such as heads.fitting.pca_projection."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


REGISTRY = (ROOT / "heads" / "registry.py").read_text()
HEAD_MODULES = set(re.findall(r'"(heads\.\w+):\w+"', REGISTRY))
"""Modules of all heads in the registry: the names before a colon in its strings."""


def imports(path: Path) -> set[str]:
    """Return the modules of this project that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


def layer(module: str) -> int:
    """Return the index of a module's layer, from the bottom."""
    if module == "heads.base" or module in HEAD_MODULES:
        return LAYERS.index("heads.registry")
    while module not in LAYERS:
        module = module.rpartition(".")[0]
    return LAYERS.index(module)


def forbidden_imports() -> list[str]:
    """Return imports from a higher layer and imports between the stages."""
    forbidden = []
    for module, path in MODULES.items():
        for other in imports(path):
            between_stages = {module.split(".")[0], other.split(".")[0]} == set(STAGES)
            if between_stages or layer(other) > layer(module):
                forbidden.append(f"{module} imports {other}")
    return forbidden


def duplicate_names() -> list[str]:
    """Return file names that occur more than once in the source, the tests and the benchmarks."""
    others = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    files = [
        *SOURCES,
        *(path for path in others if path.name not in ("__init__.py", "conftest.py")),
    ]
    count = Counter(path.name for path in files)
    return [name for name, times in count.items() if times > 1 and name not in SHARED_NAMES]


def is_head(path: Path) -> bool:
    """Whether a file is the module of a registered head."""
    return path in SOURCES and module_name(path) in HEAD_MODULES


def is_source_folder(folder: Path) -> bool:
    """Return whether a path is a folder of sources: not one of bytecode."""
    return folder.is_dir() and folder.name != "__pycache__"


def folder_sizes() -> dict[str, tuple[int, int]]:
    """Map each folder to its numbers of files and of subfolders, as `MAX_ENTRIES` counts them."""
    tops = (*PACKAGES, "tests", "benchmarks", "docs")
    folders = [folder for top in tops for folder in (ROOT / top, *(ROOT / top).rglob("*"))]
    found = {}
    for folder in sorted(folder for folder in folders if is_source_folder(folder)):
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(("__", "."))]
        if entries:
            found[str(folder.relative_to(ROOT))] = (
                sum(entry.is_file() and not is_head(entry) for entry in entries),
                sum(entry.is_dir() for entry in entries),
            )
    return found


if __name__ == "__main__":
    print("files  folders  folder")
    for name, (files, folders) in folder_sizes().items():
        print(f"{files:5}  {folders:7}  {name}")
    print("\nlayers, from the bottom:", ", ".join(LAYERS))
    print("forbidden imports:", ", ".join(forbidden_imports()) or "none")
    print("duplicate file names:", ", ".join(duplicate_names()) or "none")
