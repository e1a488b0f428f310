"""The run's folder: can it be written to, is it free, and what is in it already?"""

import os
from pathlib import Path
from typing import Any

import psutil

from extract.doctor.finding import FAIL, OK, WARNING, Finding
from extract.spaces.setup import stamp
from features.hdf5_store import read_attributes
from runtime.errors import UserError
from runtime.lock import held_by
from runtime.settings import flag

IN_MEMORY = ("tmpfs", "ramfs")

REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs")


def check_folder(run: Path) -> Finding:
    """Writable, and on a disk."""
    there = existing(run)
    # The lock and the files under way lie beside the run's folder.
    for folder in dict.fromkeys((there, existing(run.parent))):
        if not folder.is_dir():
            return Finding(FAIL, "run folder", f"{folder} is no folder", "name another --run")
        if not os.access(folder, os.W_OK | os.X_OK):
            advice = "start the command where you may write: runs/ is made in the working directory"
            return Finding(FAIL, "run folder", f"{folder} cannot be written to", advice)
    kind = file_system(there)
    if kind in IN_MEMORY:
        found = f"{run} would lie in memory ({kind}): gone when the machine restarts"
        return Finding(WARNING, "run folder", found, "start the command in a folder on a disk")
    if kind in REMOTE:
        found = f"{run} lies on another machine ({kind}), where locks may not hold"
        return Finding(WARNING, "run folder", found, "never start two commands on one run")
    return Finding(OK, "run folder", f"{run} ({kind})")


def check_lock(run: Path) -> Finding:
    """Another command on the same run."""
    try:
        holder = held_by(run)
    except OSError as error:
        return Finding(FAIL, "lock", f"{error.filename}: {error.strerror}", "name another --run")
    if holder:
        found = f"{run} is in use by {holder}"
        return Finding(FAIL, "lock", found, "wait until it has ended, or name another --run")
    return Finding(OK, "lock", "no other command is at work on this run")


def check_features(run: Path, made_from: dict[str, Any]) -> Finding:
    """A features.h5 or spaces that the run has already, from the same or from something else."""
    features = run / "features.h5"
    if features.exists():
        return _check_made(features, made_from)
    folders = [path for path in sorted(run.glob("unfinished/*")) if path.is_dir()]
    others = [path for path in folders if path.name != stamp(made_from)]
    if others:
        spaces = sum(1 for path in others for _ in path.glob("*/checkpoint.json"))
        found = f"{run}/unfinished holds finished spaces ({spaces}) of other data or settings"
        advice = "extract would delete them: name another --run to keep them"
        return Finding(WARNING, "features", found, advice)
    made = sorted(path.parent.name for path in run.glob("unfinished/*/*/checkpoint.json"))
    said = f"extract would go on after {', '.join(made)}" if made else "none yet in this run"
    return Finding(OK, "features", said)


def _check_made(features: Path, made_from: dict[str, Any]) -> Finding:
    try:
        old = read_attributes(features)
    except UserError as error:
        return Finding(FAIL, "features", str(error))
    if old["stamp"] == stamp(made_from):
        said = f"{features} is from the same data and settings: extract keeps it"
        return Finding(OK, "features", said)
    new = made_from["config"]
    changed = [flag(key) for key in new if old["config"].get(key) != new[key]]
    found = f"{features} is from other {', '.join(changed) or 'data or weights'}"
    return Finding(FAIL, "features", found, "name another --run, or pass --force to extract")


def existing(path: Path) -> Path:
    """`path`, or the nearest above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def file_system(path: Path) -> str:
    """What kind of file system `path` lies on, such as ext4."""
    path = path.resolve()
    mounts = psutil.disk_partitions(all=True)
    above = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    # Of two mounted at one place, the later one is seen.
    return (
        max(reversed(above), key=lambda mount: len(mount.mountpoint)).fstype if above else "unknown"
    )
