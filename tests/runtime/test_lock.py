"""Two commands on one run: the second is told of the first, which goes on undisturbed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import UserError
from runtime.lock import held_by, locked

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from runtime.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """f() -> a process that holds the lock of runs/r."""
    started = []

    def start():
        run = str(tmp_path / "runs/r")
        command = [sys.executable, "-c", HOLD, run]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_second_command_names_the_first(hold, tmp_path):
    process = hold()
    named = pytest.raises(UserError, match=f"runs/r is in use by process {process.pid} ")
    with named, locked(tmp_path / "runs/r"):
        pytest.fail("both hold it")
    assert process.poll() is None


def test_another_run_is_free(hold, tmp_path):
    hold()
    with locked(tmp_path / "runs/s") as folder:
        assert folder == tmp_path / "runs/s"


def test_a_killed_command_holds_nothing(hold, tmp_path):
    process = hold()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with locked(tmp_path / "runs/r"):
        pass


def test_the_lock_is_given_back_after_an_error_and_the_run_is_not_touched(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "runs/r"):
            raise KeyError
    assert not (tmp_path / "runs/r").exists()


def test_other_ranks_of_one_command_need_no_lock(hold, tmp_path, monkeypatch):
    hold()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with locked(tmp_path / "runs/r", ranks=True) as folder:
        assert folder == tmp_path / "runs/r"


def test_a_command_for_one_process_refuses_to_be_started_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="only extract works"), locked(tmp_path / "runs/r"):
        pytest.fail("two processes would write one file")


def test_a_glance_names_the_holder_and_holds_and_writes_nothing(hold, tmp_path):
    run = tmp_path / "runs/r"
    assert held_by(run) is None
    assert not run.parent.exists()
    process = hold()
    assert f"process {process.pid} " in held_by(run)
    process.kill()
    process.wait()
    assert held_by(run) is None
    with locked(run):
        pass
