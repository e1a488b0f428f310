"""Checks of the source code: imports between layers, sizes, and unsafe functions."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from architecture import (
    LAYERS,
    MAX_ENTRIES,
    MODULES,
    ROOT,
    SOURCES,
    duplicate_names,
    folder_sizes,
    forbidden_imports,
)

ALL = SOURCES + sorted((ROOT / "benchmarks").rglob("*.py"))

UNSAFE_MODULES = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "yaml"}
"""Modules that can create arbitrary objects from a file. (multiprocessing only pickles between
processes of one run, which is safe.)"""
UNSAFE_FUNCTIONS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
UNSAFE_METHODS = {"read_pickle", "load_state_dict_from_url"}
REQUIRED_KEYWORDS = [
    ("torch.load", ("weights_only", "True")),
    ("np.load", ("allow_pickle", "False")),
    ("from_pretrained", ("trust_remote_code", "False")),
    ("from_pretrained", ("use_safetensors", "True")),
    ("from_pretrained", ("local_files_only", "True")),
]


def imported(path: Path) -> set[str]:
    """Return the top-level names of all imports in a file, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.split(".")[0])
    return names


def test_no_imports_from_higher_layers_or_between_stages():
    assert not forbidden_imports()


def test_layers_match_the_folders():
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES}
    assert folders - {"."} <= set(LAYERS)
    assert all(name in MODULES for name in LAYERS)


def test_folders_stay_small():
    long = {name: counts for name, counts in folder_sizes().items() if max(counts) > MAX_ENTRIES}
    assert not long


def test_file_names_are_unique():
    assert not duplicate_names()


def test_only_features_imports_h5py():
    users = [str(p.relative_to(ROOT)) for p in SOURCES if "h5py" in imported(p)]
    assert users == [
        f"features/{name}.py" for name in ("hdf5_checksums", "hdf5_store", "space_files")
    ]


def calls(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return every call in a file: the function as written, and its keyword arguments."""
    return [
        (ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_unpickling_and_no_execution_of_text(path):
    assert not imported(path) & UNSAFE_MODULES
    for name, keywords in calls(path):
        last = name.split(".")[-1]
        assert name not in UNSAFE_FUNCTIONS and last not in UNSAFE_METHODS, name
        assert "shell" not in keywords, name
        for call, (keyword, value) in REQUIRED_KEYWORDS:
            if call in (name, last):
                assert keywords.get(keyword) == value, f"{name} without {keyword}={value}"


def test_text_in_html_is_escaped():
    templates = sorted((ROOT / "heads").rglob("*.jinja"))
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape", path.read_text()), path
    escaping = [k.get("autoescape") for p in ALL for n, k in calls(p) if n == "Environment"]
    assert escaping == ["html"]
    marked = {p.name for p in ALL for name, _ in calls(p) if name == "Markup"}
    assert marked == {"build.py", "gallery.py", "svg.py"}, "another file marks text as safe HTML"


def test_files_stay_small():
    long = {p.name: n for p in SOURCES if (n := len(p.read_text().splitlines())) > 250}
    assert not long


SLOW = ("torch", "transformers", "timm", "sklearn", "scipy", "pandas", "lightgbm", "polars")
SLOW += ("h5py", "matplotlib", "PIL")

FIRST_NEEDED = {
    "--help": (["pipeline"], set()),
    # The pictures and the table are compared with those of features.h5.
    "status": (["extract.status", "heads.status"], {"pandas", "h5py", "PIL"}),
    "fit-heads --heads linear": (["heads.run", "heads.linear"], {"sklearn", "scipy"}),
    "check": (["heads.check.all_checks"], set()),
    "report, submit": (["heads.report.build"], {"matplotlib"}),
}
"""What a command imports before it reads a file, and the slow libraries that it may import, besides
those of the commands before it: one process imports all."""


@pytest.fixture(scope="module")
def slow_imports():
    """For each command, the slow libraries that are imported after its modules."""
    modules = {command: names for command, (names, _) in FIRST_NEEDED.items()}
    code = f"""
import sys, importlib, json
for command, modules in {modules}.items():
    for module in modules:
        importlib.import_module(module)
    print(json.dumps([command, [name for name in {SLOW} if name in sys.modules]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", FIRST_NEEDED)
def test_commands_import_only_the_slow_libraries_that_they_need(slow_imports, command):
    allowed = set()
    for name, (_, needed) in FIRST_NEEDED.items():
        allowed |= needed
        if name == command:
            break
    assert set(slow_imports[command]) <= allowed


def test_help_of_a_command_is_complete():
    code = "import sys, pipeline; sys.argv = ['pipeline.py', 'run', '--help']; pipeline.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--lr-image" in done.stdout and "--heads" in done.stdout and "--out" in done.stdout
