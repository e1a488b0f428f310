"""The lock of a run: a second command on it fails and names the first, which continues."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import lock
from runtime.errors import UserError
from runtime.lock import lock_holder, locked

ROOT = Path(__file__).parents[2]
HOLDER_SCRIPT = """
import sys, time
from pathlib import Path
from runtime.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def start_holder(tmp_path):
    """f() -> a subprocess that holds the lock of runs/r."""
    started = []

    def start():
        run = str(tmp_path / "runs/r")
        command = [sys.executable, "-c", HOLDER_SCRIPT, run]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_second_command_names_the_first(start_holder, tmp_path):
    process = start_holder()
    refused = pytest.raises(UserError, match=f"runs/r is in use by process {process.pid} ")
    with refused, locked(tmp_path / "runs/r"):
        pytest.fail("two commands hold the lock")
    assert process.poll() is None


def test_lock_of_another_run_is_free(start_holder, tmp_path):
    start_holder()
    with locked(tmp_path / "runs/s") as folder:
        assert folder == tmp_path / "runs/s"


def test_killed_command_releases_the_lock(start_holder, tmp_path):
    process = start_holder()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with locked(tmp_path / "runs/r"):
        pass


def test_lock_is_released_after_an_error_and_no_run_folder_is_created(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "runs/r"):
            raise KeyError
    assert not (tmp_path / "runs/r").exists()


def test_other_ranks_of_a_command_take_no_lock(start_holder, tmp_path, monkeypatch):
    start_holder()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with locked(tmp_path / "runs/r", distributed=True) as folder:
        assert folder == tmp_path / "runs/r"


def test_single_process_command_refuses_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="only the command extract"), locked(tmp_path / "runs/r"):
        pytest.fail("two processes would write one file")


def test_lock_holder_names_the_process_without_locking_or_writing(start_holder, tmp_path):
    run = tmp_path / "runs/r"
    assert lock_holder(run) is None
    assert not run.parent.exists()
    process = start_holder()
    assert f"process {process.pid} " in lock_holder(run)
    process.kill()
    process.wait()
    assert lock_holder(run) is None
    with locked(run):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_read_only_folder_has_no_holder_and_says_why_it_cannot_be_locked(
    tmp_path, monkeypatch, number
):
    run = tmp_path / "runs/r"
    with locked(run):
        pass
    (tmp_path / "runs/.r.lock").touch()

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "_acquired", refuse)
    assert lock_holder(run) is None
    with pytest.raises(UserError, match=r"cannot be locked: .*Check the permissions"), locked(run):
        pytest.fail("not locked")
