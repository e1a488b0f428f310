"""Checks of the run's folder: writable, in use, existing features and spaces."""

from collections import namedtuple
from dataclasses import replace

import pytest

from extract.doctor import check_run_folder, doctor
from extract.doctor.finding import FAIL, OK, WARNING
from extract.spaces.checkpoint import Checkpoint, save_checkpoint
from extract.spaces.run_setup import stamp
from runtime.lock import locked


def test_new_run_in_an_existing_folder_is_ok(tmp_path):
    assert check_run_folder.check_folder(tmp_path / "runs/new").state == OK
    assert check_run_folder.nearest_existing(tmp_path / "runs/new") == tmp_path


def test_unwritable_folder_or_file_in_its_place_fails(tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("")
    found = check_run_folder.check_folder(tmp_path / "runs/new")
    assert found.state == FAIL and "is not a folder" in found.found
    (tmp_path / "runs").unlink()
    (tmp_path / "runs/r").mkdir(parents=True)
    # Tests may run as root, who can write to any folder.
    monkeypatch.setattr(check_run_folder.os, "access", lambda path, mode: path != tmp_path / "runs")
    found = check_run_folder.check_folder(tmp_path / "runs/r")
    assert found.state == FAIL and "runs is not writable" in found.found


@pytest.mark.parametrize(("kind", "state"), [("ext4", OK), ("tmpfs", WARNING), ("nfs4", WARNING)])
def test_memory_and_remote_file_systems_are_a_warning(tmp_path, monkeypatch, kind, state):
    mount = namedtuple("Mount", "mountpoint fstype")
    mounts = [mount("/", "xfs"), mount(str(tmp_path), "ext3"), mount(str(tmp_path), kind)]
    monkeypatch.setattr(check_run_folder.psutil, "disk_partitions", lambda all: mounts)
    found = check_run_folder.check_folder(tmp_path / "r")
    assert found.state == state and kind in found.found


def test_run_in_use_fails_and_names_the_process(tmp_path):
    run = tmp_path / "runs/r"
    assert check_run_folder.check_lock(run).state == OK
    with locked(run):
        found = check_run_folder.check_lock(run)
    assert found.state == FAIL and "in use by process" in found.found
    assert check_run_folder.check_lock(run).state == OK


MADE_FROM = {
    "config": {"seed": 0, "epochs": 6},
    "fingerprint": "f",
    "weights": ["i", "t"],
    "frozen": {},
}


def write_finished_space(run, made_from, name):
    """Write a finished space of a run whose other spaces are missing."""
    folder = run / "unfinished" / stamp(made_from) / name
    folder.mkdir(parents=True)
    save_checkpoint(
        Checkpoint(stamp(made_from), None, "mean", 8, 8, 8, "fp32", {}, 1.0, "cpu", {}), folder
    )


def test_finished_spaces_are_resumed_from_or_warned_about(tmp_path):
    assert "none yet" in check_run_folder.check_features(tmp_path, MADE_FROM).found
    write_finished_space(tmp_path, MADE_FROM, "space_0")
    found = check_run_folder.check_features(tmp_path, MADE_FROM)
    assert found.state == OK and found.found.endswith("after space_0")
    found = check_run_folder.check_features(tmp_path, {**MADE_FROM, "fingerprint": "g"})
    assert (
        found.state == WARNING and "finished spaces (1)" in found.found and "delete" in found.advice
    )


def test_features_of_other_settings_or_damaged_features_fail(run, tiny_config, tiny_run):
    found = {f.name: f for f in doctor.run_checks(replace(tiny_config, seed=1, epochs=3), run)}
    assert found["features"].state == FAIL and "other --epochs, --seed" in found["features"].found
    (run / "features.h5").write_bytes(b"damaged")
    assert check_run_folder.check_features(run, MADE_FROM).state == FAIL
