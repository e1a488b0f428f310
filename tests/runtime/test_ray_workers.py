"""Ray is optional, and a cluster of one's own is private."""

import os
from importlib.util import find_spec

import pytest

from runtime.cluster import ray_workers
from runtime.cluster.ray_workers import answers_of_workers
from runtime.errors import UserError


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
