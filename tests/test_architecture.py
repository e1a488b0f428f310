"""The architecture as it can be read from the source: who imports whom, what is never used."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from architecture import (
    FLOORS,
    MODULES,
    MOST_ENTRIES,
    ROOT,
    SOURCES,
    back_edges,
    listing,
    repeated_names,
)

ALL = SOURCES + sorted((ROOT / "benchmarks").rglob("*.py"))

UNPICKLING = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "yaml"}
"""Modules that make objects of what they read. (multiprocessing pickles between processes of one
run, and would be fine.)"""
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
UNPICKLES = {"read_pickle", "load_state_dict_from_url"}
ONLY_WITH = [
    ("torch.load", ("weights_only", "True")),
    ("np.load", ("allow_pickle", "False")),
    ("from_pretrained", ("trust_remote_code", "False")),
    ("from_pretrained", ("use_safetensors", "True")),
    ("from_pretrained", ("local_files_only", "True")),
]


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


def test_imports_point_down_and_never_from_stage_to_stage():
    assert not back_edges()


def test_the_floors_are_the_folders_that_there_are():
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES}
    assert folders - {"."} <= set(FLOORS)
    assert all(name in MODULES for name in FLOORS)


def test_no_folder_lists_more_than_a_dozen_names_or_so():
    long = {name: counts for name, counts in listing().items() if max(counts) > MOST_ENTRIES}
    assert not long


def test_no_two_files_have_one_name():
    assert not repeated_names()


def test_only_the_store_opens_hdf5():
    users = [str(p.relative_to(ROOT)) for p in SOURCES if "h5py" in imported(p)]
    assert users == ["features/hdf5_checksums.py", "features/hdf5_store.py"]


def calls(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Every call in a file: its name as written, and its keyword arguments."""
    return [
        (ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled_and_no_text_is_run(path):
    assert not imported(path) & UNPICKLING
    for name, keywords in calls(path):
        last = name.split(".")[-1]
        assert name not in RUNS_TEXT and last not in UNPICKLES, name
        assert "shell" not in keywords, name
        for call, (keyword, value) in ONLY_WITH:
            if call in (name, last):
                assert keywords.get(keyword) == value, f"{name} without {keyword}={value}"


def test_what_goes_into_a_page_is_escaped():
    templates = sorted((ROOT / "heads").rglob("*.jinja"))
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape", path.read_text()), path
    escaping = [k.get("autoescape") for p in ALL for n, k in calls(p) if n == "Environment"]
    assert escaping == ["html"]
    marked = {p.name for p in ALL for name, _ in calls(p) if name == "Markup"}
    assert marked == {"build.py", "gallery.py", "svg.py"}, "who else says that text is HTML?"


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
