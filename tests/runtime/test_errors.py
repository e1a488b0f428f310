"""Errors of the system are not called damage: a file that may be sound is never to be deleted."""

import errno
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from features.hdf5_checksums import open_hdf5
from features.hdf5_store import read_features
from runtime import lock
from runtime.errors import (
    ADVICE,
    UserError,
    error_message,
    name_run,
    system_errno,
    user_error_if_damaged,
)
from runtime.flags_from_config import named_run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", ADVICE)
def test_refused_read_is_not_damage(tmp_path, number):
    path = tmp_path / "sound.json"
    path.write_text("{}")
    with pytest.raises(UserError) as error, user_error_if_damaged(path, "Delete it."):
        raise OSError(number, "refused")
    assert "Nothing shows that it is damaged" in str(error.value)
    assert "Delete" not in str(error.value) and ADVICE[number] in str(error.value)


@pytest.mark.parametrize("error", [ValueError("bytes"), OSError(errno.EINVAL, "x"), EOFError()])
def test_bad_bytes_are_damage(tmp_path, error):
    path = tmp_path / "bad.json"
    path.write_text("{")
    damaged = pytest.raises(UserError, match=r"is damaged.*Delete it")
    with damaged, user_error_if_damaged(path, "Delete it."):
        raise error


def test_number_is_found_in_messages_of_hdf5_and_safetensors():
    hdf5 = OSError("Unable to open file (unable to lock file, errno = 11, error message = 'x')")
    assert system_errno(hdf5) == errno.EAGAIN
    assert system_errno(RuntimeError("I/O error (os error 5)")) == errno.EIO
    assert system_errno(OSError("Unable to open file (file signature not found)")) is None


def test_system_errors_print_one_line_and_others_are_raised():
    full = OSError(errno.ENOSPC, "No space left on device", "a.h5")
    assert error_message(full).startswith("a.h5: No space left on device. Free some space")
    with pytest.raises(OSError, match="odd"):
        error_message(OSError(errno.EINVAL, "odd"))


def test_features_that_another_program_has_open_can_be_read(tmp_path):
    path = tmp_path / "open.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
    holder = (
        "import h5py, sys\nfile = h5py.File(sys.argv[1], 'r+')\nprint('open', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, path], stdin=-1, stdout=-1, text=True, cwd=ROOT
    )
    try:
        assert process.stdout.readline() == "open\n"
        with open_hdf5(path) as file:
            assert file["x"][:].tolist() == [0, 1, 2]
    finally:
        process.communicate("")


def test_refused_read_of_features_gives_no_advice_to_delete(tmp_path, monkeypatch):
    path = tmp_path / "features.h5"
    path.write_bytes(b"")

    def refuse(*args, **kwargs):
        raise OSError(errno.EIO, "Unable to synchronously open file (errno = 5)")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(UserError) as error:
        read_features(path)
    assert "Nothing shows" in str(error.value) and "Delete" not in str(error.value)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_run_is_locked_where_the_file_system_has_no_locks(tmp_path, monkeypatch, number):
    class NoLocks(lock.FileLock):
        def acquire(self, *args, **kwargs):
            raise OSError(number, "no locks")

    monkeypatch.setattr(lock, "FileLock", NoLocks)
    run = tmp_path / "runs/r"
    with lock.locked(run):
        run.mkdir()
        with pytest.raises(UserError, match="in use by process"), lock.locked(run):
            pytest.fail("two commands hold the lock")
    with lock.locked(run) as folder:
        assert folder == run


def test_refused_command_leaves_no_lock_file(tmp_path):
    with pytest.raises(KeyError), lock.locked(tmp_path / "runs/r"):
        raise KeyError
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_in_another_encoding_does_not_fail(tmp_path, encoding):
    environment = {"PYTHONIOENCODING": encoding, "PATH": ""}
    done = subprocess.run(
        [sys.executable, ROOT / "pipeline.py", "doctor", "--help"],
        capture_output=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0 and b"UnicodeEncodeError" not in done.stderr
    script = (
        "from runtime.console import tolerate_encodings, print_data\ntolerate_encodings()\n"
        "print('\\u2500 \\u00b1')\nprint_data('\\u00e9\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment, cwd=ROOT, check=True
    )
    assert done.stdout.startswith(b"? ") and done.stdout.endswith("é\n".encode())


def test_advice_names_the_run_unless_it_is_the_default_or_named_already():
    text = "Run first: python pipeline.py fit-heads"
    assert name_run(text, "default") == text
    assert name_run(text, "contest") == f"{text} --run contest"
    named = "Run: python pipeline.py extract --only-folds 0 --run part_0"
    assert name_run(named, "contest") == named


def test_run_is_found_among_the_words_of_a_command():
    assert named_run(["submit", "--run", "a"]) == named_run(["--run=a", "submit"]) == "a"
    assert named_run(["submit"]) == "default"
