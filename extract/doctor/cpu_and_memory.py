"""CPU cores and memory that this process may use: those of the machine, or less under cgroups."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")

CGROUP_OF_PROCESS = Path("/proc/self/cgroup")


def usable_cores() -> float:
    """Return the number of usable cores. A container's quota, which torch ignores, can be a
    fraction."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [float(count)]
    for folder in _cgroup_folders("cpu"):
        version_1 = _read_fields(folder / "cpu.cfs_quota_us")
        version_1 += _read_fields(folder / "cpu.cfs_period_us")
        quota = _read_fields(folder / "cpu.max") or version_1
        if quota and quota[0] not in ("max", "-1"):
            quotas.append(int(quota[0]) / int(quota[1]))
    return min(quotas)


def available_memory() -> int:
    """Return the bytes that can be allocated without swapping or exceeding a cgroup's limit."""
    free = [psutil.virtual_memory().available]
    for folder in _cgroup_folders("memory"):
        limit = _read_fields(folder / "memory.max") or _read_fields(
            folder / "memory.limit_in_bytes"
        )
        used = _read_fields(folder / "memory.current") or _read_fields(
            folder / "memory.usage_in_bytes"
        )
        if limit and used and limit[0] != "max":
            # Cached files count as used, but are dropped when memory is needed.
            fields = _read_fields(folder / "memory.stat")
            stat = dict(zip(fields[::2], fields[1::2], strict=True))
            cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
            free.append(int(limit[0]) - int(used[0]) + cached)
    return max(0, min(free))


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Yield the folder of this process's cgroup and its parents, in cgroup version 1 and 2."""
    if not CGROUP_OF_PROCESS.is_file():
        return
    for line in CGROUP_OF_PROCESS.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        cgroup = root / path.lstrip("/")
        yield from (folder for folder in (cgroup, *cgroup.parents) if folder.is_relative_to(root))


def _read_fields(path: Path) -> list[str]:
    """Return the whitespace-separated fields of a file; none if it does not exist."""
    return path.read_text().split() if path.is_file() else []
