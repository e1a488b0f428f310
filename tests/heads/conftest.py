"""Fixtures: a finished run of stage two, shared by the tests that only read it."""

import contextlib
import io
import shutil
from pathlib import Path
from typing import NamedTuple

import planted
import pytest
from quick_heads import apply_quick_settings

from features.feature_table import FeatureTable
from heads.config import FitConfig, SubmitConfig
from heads.run import fit_heads, submit


class Run(NamedTuple):
    """A run folder, its features, and the stdout of fit-heads and submit."""

    folder: Path
    features: FeatureTable
    fit_output: str
    submit_output: str


@pytest.fixture
def quick(monkeypatch):
    """Use fewer candidates, trees and resamples, for tests that do not depend on them."""
    apply_quick_settings(monkeypatch.setattr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run on all kinds of spaces. Read-only: `run` is a copy to change."""
    folder = tmp_path_factory.mktemp("finished")
    features = planted.table("xor", strength=2.5)
    planted.write(folder / "features.h5", features)
    outputs = [io.StringIO(), io.StringIO()]
    with pytest.MonkeyPatch.context() as patch:
        apply_quick_settings(patch.setattr)
        with contextlib.redirect_stdout(outputs[0]):
            fit_heads(FitConfig(planted.HEADS), folder)
        with contextlib.redirect_stdout(outputs[1]):
            submit(SubmitConfig(out=str(folder / "solution.csv")), folder)
    return Run(folder, features, *(output.getvalue() for output in outputs))


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "run")
    return tmp_path / "run"
