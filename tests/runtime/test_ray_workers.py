"""Ray is optional, and a cluster of one's own is private."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from runtime.cluster import ray_workers
from runtime.cluster.ray_workers import MAX_DEATHS, answers_of_workers
from runtime.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(monkeypatch):
    """An environment without settings of Ray, and no Ray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    monkeypatch.setattr(os, "environ", kept)

    def absent(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(ray_workers, "import_module", absent)
    return kept


def start():
    next(answers_of_workers(len, (), 1, 1, False))


def test_without_ray_the_error_names_what_to_install(environment):
    with pytest.raises(UserError, match=r"pip install -r requirements-scale\.txt"):
        start()


def test_own_cluster_is_at_this_machine_only_and_needs_a_token(environment):
    for _ in range(2):
        with pytest.raises(UserError):
            start()
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert environment["RAY_AUTH_MODE"] == "token" and len(environment["RAY_AUTH_TOKEN"]) == 64
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_settings_of_the_user_win(environment):
    environment |= {"RAY_ADDRESS": "10.0.0.1:6379", "RAY_BACKEND_LOG_LEVEL": "info"}
    with pytest.raises(UserError):
        start()
    assert environment["RAY_BACKEND_LOG_LEVEL"] == "info"
    assert "RAY_AUTH_TOKEN" not in environment


@pytest.mark.skipif(find_spec("ray") is None, reason="needs requirements-scale.txt")
def test_cluster_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"RAY_ADDRESS=127\.0\.0\.1:1 does not answer"):
        start()


LETHAL_TASK = """
import os, sys
from pathlib import Path
from runtime.cluster.ray_workers import answers_of_workers

def make(deaths):
    def answer(number):
        if number == 1:
            with deaths.open("a") as file:
                file.write("x")
            os._exit(1)
        return str(number)
    return answer

print(*sorted(answers_of_workers(make, (Path("deaths"),), 3, 1, False)))
"""


@pytest.mark.skipif(find_spec("ray") is None, reason="needs requirements-scale.txt")
def test_task_that_kills_every_worker_is_left_out(tmp_path):
    # Ray reads its environment once in a process.
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command, environment = [sys.executable, "-c", LETHAL_TASK], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "0 2\n", done.stderr
    assert (tmp_path / "deaths").read_text() == MAX_DEATHS * "x"
