"""Options and the order of the tests. shared_fixtures.py has the fixtures that all tests share."""

import gc
import os

from runtime.processes import limit_spinning

# Imports create many objects that stay. Collecting them in between would take seconds.
gc.disable()
# Both must be set before torch is imported.
limit_spinning()
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each core has a test process of its own.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SLOW_FILES = (
    "test_kill.py",
    "test_pipeline.py",
    "test_damaged_run_files.py",
    "test_data_as_published.py",
    "test_reuse_spaces.py",
    "test_distributed.py",
)


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="number of times each command is killed")


def pytest_configure(config):
    """Load the fixtures, except in the process that only hands out tests to others."""
    if not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared_fixtures")


def pytest_collection_modifyitems(items):
    """Start with the slow files, so that no test process is left alone with one at the end."""
    slow = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: slow.get(item.path.name, len(slow)))


def pytest_collection_finish():
    gc.freeze()
    gc.enable()
