"""OpenMP spinning is limited at process start, unless the user has set it."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.processes import SPIN_COUNT, limit_spinning, pause_collection

ROOT = Path(__file__).parents[2]
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_spin_count_is_limited(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == SPIN_COUNT


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_set_by_the_user_are_not_changed(name, monkeypatch):
    monkeypatch.setenv(name, "7")
    limit_spinning()
    assert {v: os.environ.get(v) for v in VARIABLES} == {**dict.fromkeys(VARIABLES), name: "7"}


@pytest.mark.parametrize("start", ["pipeline.main()", "import benchmarks"])
def test_spin_count_is_set_before_torch_is_loaded(start):
    code = (
        "import os, sys, pipeline\n"
        "sys.argv = ['pipeline.py', '--help']\n"
        f"{start}\n"
        "assert 'torch' not in sys.modules\n"
        "print(os.environ['GOMP_SPINCOUNT'], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == SPIN_COUNT


def test_a_failure_while_collection_is_paused_leaves_it_on():
    with pytest.raises(ImportError), pause_collection():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
