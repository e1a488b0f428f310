"""Options and the order of the tests. shared_fixtures.py has the fixtures that all tests share."""

import gc
import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

from runtime.processes import limit_spinning

# Imports create many objects that stay. Collecting them in between would take seconds.
gc.disable()
# Both must be set before torch is imported.
limit_spinning()
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each core has a test process of its own.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

GROUPS = {"heads": "heads", "reliability": "forks", "test_distributed.py": "forks"}
"""Folders and files whose tests share what takes seconds to make. Other files are alone."""

FIRST = (
    *("forks", "heads", "test_pipeline.py", "test_damaged_run_files.py"),
    *("test_reuse_spaces.py", "test_data_as_published.py"),
)
"""The groups that take longest. Started last, one would leave a test process alone."""


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="number of times each command is killed")


def pytest_configure(config):
    """Load the fixtures, except in the process that only hands out tests to others."""
    if not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared_fixtures")


class LoadGroups(LoadFileScheduling):
    """Give all tests of a group to one test process."""

    def _split_scope(self, nodeid):
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return LoadGroups(config, log)


def group_of(nodeid):
    """Return the group of a test: of its file, of its folder in tests/, or the file's name."""
    _, *folders, name = Path(nodeid.split("::")[0]).parts
    return GROUPS.get(name) or GROUPS.get("".join(folders[:1]), name)


def pytest_collection_modifyitems(items):
    """Start with the slow groups."""
    place = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(group_of(item.nodeid), len(place)))


def pytest_collection_finish():
    gc.freeze()
    gc.enable()
