"""One finished run and its report, for all tests that only look at them."""

import shutil

import planted
import pytest
from made_up_run import finish

from heads.report.build import write_report


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    """A finished run with its report. Look, do not touch: `run` is a copy to change."""
    folder = finish(
        tmp_path_factory.mktemp("told") / "run", planted.table("xor", 200, strength=2.5)
    )
    write_report(folder)
    return folder


@pytest.fixture
def run(told, tmp_path):
    """A copy of the run and its report, to change."""
    return shutil.copytree(told, tmp_path / "run")
