"""The architecture as it can be read from the source: who imports whom, what is never used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "extract": {"extract", "features"},
    "heads": {"heads", "features"},
    "features": {"features"},
    "pipeline": {"extract", "heads", "features", "pipeline"},
}
OURS = set(ALLOWED)
SOURCES = [
    path
    for folder in ("extract", "heads", "features")
    for path in sorted((ROOT / folder).rglob("*.py"))
] + [ROOT / "pipeline.py"]


def imported(path: Path) -> set[str]:
    """Top-level names of all imports in a file, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_flow_one_way(path):
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert imported(path) & OURS <= ALLOWED[package]


def test_only_the_store_opens_hdf5():
    users = [str(p.relative_to(ROOT)) for p in SOURCES if "h5py" in imported(p)]
    assert users == ["features/sealed.py", "features/store.py"]


def test_nothing_is_pickled():
    suspects = {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
    assert not [p for p in SOURCES if suspects & imported(p)]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert keywords.get("weights_only") == "True", path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert keywords.get("allow_pickle") == "False", path


def test_files_stay_small():
    long = {p.name: n for p in SOURCES if (n := len(p.read_text().splitlines())) > 250}
    assert not long


def test_help_imports_no_library_that_is_slow_to_load():
    code = (
        "import sys, pipeline\n"
        "sys.argv = ['pipeline.py', 'run', '--help']\n"
        "pipeline.main()\n"
        "slow = {'torch', 'timm', 'transformers', 'sklearn', 'pandas', 'lightgbm', 'h5py'}\n"
        "sys.exit(f'imported {slow & set(sys.modules)}' if slow & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--lr-image" in done.stdout and "--heads" in done.stdout and "--out" in done.stdout
