"""The structure of the source: its floors, who imports whom, and how many entries a folder lists.

`python tests/architecture.py` prints it.
"""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = (
    "runtime",
    "features",
    "extract.config",
    "extract.sample",
    "extract.towers",
    "extract.data",
    "extract.duplicates",
    "extract.training",
    "extract.spaces",
    "extract.doctor",
    "extract",
    "heads.registry",
    "heads.evaluation",
    "heads.decision",
    "heads.fitting",
    "heads.ensemble",
    "heads.check",
    "heads.report",
    "heads",
    "pipeline",
)
"""From the bottom up. A folder, or a file with a floor of its own, imports from its own floor and
from those before it. `extract` and `heads` never import each other."""
ON_THE_REGISTRY_FLOOR = (
    "base",
    "linear",
    "interaction",
    "mlp",
    "lightgbm",
    "knn",
    "stack",
    "joint",
)
"""The heads themselves: below all that fits and scores them."""
STAGES = ("extract", "heads")
ONE_A_STAGE = {"__init__.py", "config.py", "run.py", "status.py", "predict.py"}
"""File names that may occur in both stages. All other names occur once."""
MOST_ENTRIES = 13
"""Files in a folder, and folders in a folder; `__init__.py` and caches are not counted."""
PACKAGES = ("runtime", "features", "extract", "heads")
SOURCES = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
SOURCES.append(ROOT / "pipeline.py")


def module_name(path: Path) -> str:
    """heads/fitting/projection.py -> heads.fitting.projection."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SOURCES}


def imports(path: Path) -> set[str]:
    """Our modules that a file imports, those imported inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


def floor(module: str) -> int:
    """Number of a module's floor, from the bottom."""
    stage, _, rest = module.partition(".")
    if stage == "heads" and rest in ON_THE_REGISTRY_FLOOR:
        return FLOORS.index("heads.registry")
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS.index(module)


def back_edges() -> list[str]:
    """Imports that point up, and those between the stages."""
    wrong = []
    for module, path in MODULES.items():
        for other in imports(path):
            between = {module.split(".")[0], other.split(".")[0]} == set(STAGES)
            if between or floor(other) > floor(module):
                wrong.append(f"{module} imports {other}")
    return wrong


def repeated_names() -> list[str]:
    """File names that occur too often in the source, the tests and the benchmarks."""
    others = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    files = [
        *SOURCES,
        *(path for path in others if path.name not in ("__init__.py", "conftest.py")),
    ]
    count = Counter(path.name for path in files)
    return [name for name, times in count.items() if times > 1 and name not in ONE_A_STAGE]


def listing() -> dict[str, tuple[int, int]]:
    """Folder -> the number of its files, `__init__.py` apart, and of its folders."""
    tops = (*PACKAGES, "tests", "benchmarks", "docs")
    folders = [folder for top in tops for folder in (ROOT / top, *(ROOT / top).rglob("*"))]
    found = {}
    for folder in sorted(folder for folder in folders if folder.is_dir()):
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(("__", "."))]
        if entries:
            files = sum(entry.is_file() for entry in entries)
            found[str(folder.relative_to(ROOT))] = (files, len(entries) - files)
    return found


if __name__ == "__main__":
    print("files  folders  folder")
    for name, (files, folders) in listing().items():
        print(f"{files:5}  {folders:7}  {name}")
    print("\nfloors, from the bottom:", ", ".join(FLOORS))
    print("imports that point up:", ", ".join(back_edges()) or "none")
    print("file names that occur twice:", ", ".join(repeated_names()) or "none")
