"""Cores and memory that this process may use: those of the machine, or of its cgroup."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")

MEMBER = Path("/proc/self/cgroup")


def cores() -> float:
    """Cores to compute on: a container's quota can be a fraction, and torch does not look at it."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [float(count)]
    for folder in _folders("cpu"):
        first = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        quota = _words(folder / "cpu.max") or first
        if quota and quota[0] not in ("max", "-1"):
            quotas.append(int(quota[0]) / int(quota[1]))
    return min(quotas)


def available_memory() -> int:
    """Bytes that can be had without swapping, and without the cgroup's memory killer."""
    free = [psutil.virtual_memory().available]
    for folder in _folders("memory"):
        limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        used = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
        if limit and used and limit[0] != "max":
            # Files that were read count as used, and give way when memory is asked for.
            words = _words(folder / "memory.stat")
            stat = dict(zip(words[::2], words[1::2], strict=True))
            cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            free.append(int(limit[0]) - int(used[0]) + cached)
    return max(0, min(free))


def _folders(controller: str) -> Iterator[Path]:
    """The cgroup's folder of a controller and those above it, in version 2 and version 1."""
    if not MEMBER.is_file():
        return
    for line in MEMBER.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        place = root / path.lstrip("/")
        yield from (folder for folder in (place, *place.parents) if folder.is_relative_to(root))


def _words(path: Path) -> list[str]:
    """The words in a file; none if it is not there."""
    return path.read_text().split() if path.is_file() else []
