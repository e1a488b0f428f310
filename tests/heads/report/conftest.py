"""Fixtures for report tests: a finished run with its report, read-only or as a copy."""

import shutil

import planted
import pytest
from made_up_run import write_finished_run

from heads.report.build import write_report
from heads.report.finished_run import read_run


@pytest.fixture(scope="session")
def reported_run(tmp_path_factory):
    """Folder of a finished run with its report. Read-only: tests that change it use `run`."""
    folder = write_finished_run(
        tmp_path_factory.mktemp("reported") / "run", planted.table("xor", 200, strength=2.5)
    )
    write_report(read_run(folder))
    return folder


@pytest.fixture
def run(reported_run, tmp_path):
    """A copy of the run and its report that a test may change."""
    return shutil.copytree(reported_run, tmp_path / "run")
