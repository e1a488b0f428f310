"""Check the run's folder: is it writable, is it in use, and what is already in it?"""

import os
from pathlib import Path
from typing import Any

import psutil

from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.spaces.reuse_spaces import changed_settings, is_affected
from extract.spaces.run_setup import stamp
from features.hdf5_store import read_attributes, read_space_names
from runtime.config_fields import flag
from runtime.errors import UserError
from runtime.lock import lock_holder

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")

REMOTE_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs")


def check_folder(run: Path) -> Finding:
    """Check that the folder is, or will be, writable and on a local disk."""
    existing = nearest_existing(run)
    # The lock and temporary files are beside the run's folder.
    for folder in dict.fromkeys((existing, nearest_existing(run.parent))):
        if not folder.is_dir():
            return Finding(FAIL, "run folder", f"{folder} is not a folder", "choose another --run")
        if not os.access(folder, os.W_OK | os.X_OK):
            advice = "start the command in a writable folder: it creates runs/ there"
            return Finding(FAIL, "run folder", f"{folder} is not writable", advice)
    kind = file_system(existing)
    if kind in MEMORY_FILE_SYSTEMS:
        found = f"{run} would be in memory ({kind}) and lost when the machine restarts"
        return Finding(WARNING, "run folder", found, "start the command in a folder on a disk")
    if kind in REMOTE_FILE_SYSTEMS:
        found = f"{run} is on another machine ({kind}), where locks may not work"
        return Finding(WARNING, "run folder", found, "never start two commands on one run")
    return Finding(OK, "run folder", f"{run} ({kind})")


def check_lock(run: Path) -> Finding:
    """Check that no other command is using the run."""
    try:
        holder = lock_holder(run)
    except OSError as error:
        found = f"{error.filename}: {error.strerror}"
        return Finding(FAIL, "lock", found, "choose another --run")
    if holder:
        found = f"{run} is in use by {holder}"
        return Finding(FAIL, "lock", found, "wait until it has ended, or choose another --run")
    return Finding(OK, "lock", "no other command is using this run")


def check_features(run: Path, made_from: dict[str, Any]) -> Finding:
    """Check whether the run already has features.h5 or spaces, and from which data and settings."""
    features = run / "features.h5"
    if features.exists():
        return _check_existing_features(features, made_from)
    folders = [path for path in sorted(run.glob("unfinished/*")) if path.is_dir()]
    others = [path for path in folders if path.name != stamp(made_from)]
    if others:
        spaces = sum(1 for path in others for _ in path.glob("*/checkpoint.json"))
        found = f"{run}/unfinished has finished spaces ({spaces}) of other data or settings"
        advice = "extract would delete them; to keep them, choose another --run"
        return Finding(WARNING, "features", found, advice)
    finished = sorted(path.parent.name for path in run.glob("unfinished/*/*/checkpoint.json"))
    resumed = f"extract would resume after {', '.join(finished)}"
    return Finding(OK, "features", resumed if finished else "none yet in this run")


def _check_existing_features(features: Path, made_from: dict[str, Any]) -> Finding:
    try:
        old = read_attributes(features)
    except UserError as error:
        return Finding(FAIL, "features", str(error))
    if old["stamp"] == stamp(made_from):
        found = f"{features} is from the same data and settings: extract will not change it"
        return Finding(OK, "features", found)
    affected = [name for name in read_space_names(features) if is_affected(name, old, made_from)]
    if not affected:
        added = [name for name in made_from["frozen"] if name not in old.get("frozen", {})]
        found = f"extract would keep its spaces, and add {', '.join(added) or 'none'}"
        return Finding(OK, "features", found)
    changed = [flag(key) for key in changed_settings(old, made_from)]
    found = f"{features} is from other {', '.join(changed) or 'data or weights'}"
    return Finding(FAIL, "features", found, "choose another --run, or pass --force to extract")


def nearest_existing(path: Path) -> Path:
    """Return `path` if it exists, else its nearest parent that does."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if os.path.lexists(folder))


def file_system(path: Path) -> str:
    """Return the type of the file system that `path` is on, such as ext4."""
    path = path.resolve()
    mounts = psutil.disk_partitions(all=True)
    above = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    # A later mount at the same mount point hides the earlier one.
    return (
        max(reversed(above), key=lambda mount: len(mount.mountpoint)).fstype if above else "unknown"
    )
