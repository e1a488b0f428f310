"""Fixtures: a run with a reference, and one of an older version."""

import shutil

import pytest

from heads.report.finished_run import read_run
from serve.drift.held_out_memes import write_reference


@pytest.fixture(scope="session")
def checked_run(scored_run, tmp_path_factory):
    """Folder of `scored_run` with heads/drift.npz. Copy it before you change it."""
    run = shutil.copytree(scored_run, tmp_path_factory.mktemp("checked") / "run")
    write_reference(read_run(run))
    return run
