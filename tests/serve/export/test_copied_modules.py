"""The copied modules are complete, and import only what an exported folder requires."""

import ast
import sys

from heads.registry import ENTRIES
from serve.export.copied_modules import copy_modules
from serve.export.export_run import HEAD_PACKAGES, PACKAGES

IMPORT_NAMES = {"scikit-learn": "sklearn", "pillow": "PIL"}


def test_copies_of_all_heads_import_each_other_and_the_packages_that_are_named(tmp_path):
    heads = {entry.path.partition(":")[0] for entry in ENTRIES.values()}
    copy_modules(["serve.export.score_memes", *heads], tmp_path)
    files = list(tmp_path.rglob("*.py"))
    modules = {
        ".".join(f.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")
        for f in files
    }
    assert modules >= {"heads.predict", "runtime.picture_opening", *heads}
    assert not {name for name in modules if "training" in name}
    foreign = set()
    for file in files:
        for name in imported(file):
            if name.partition(".")[0] in ("runtime", "features", "extract", "heads", "serve"):
                assert name in modules, f"{file} imports {name}"
            else:
                foreign.add(name.partition(".")[0])
    named = {IMPORT_NAMES.get(name, name) for name in (*PACKAGES, *HEAD_PACKAGES.values())}
    # scikit-learn brings threadpoolctl; onnxruntime is imported with the first tower.
    assert foreign - sys.stdlib_module_names == named - {"onnxruntime"} | {"threadpoolctl"}


def imported(file):
    """Names of the modules that a file imports at its top level."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
