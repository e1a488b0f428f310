"""Run one command of memefuse and measure its time by step and its memory over time."""

import os
import re
import resource
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Self

from runtime.progress import log

ROOT = Path(__file__).parent.parent
INTERVAL = 1.0
"""Seconds between two memory samples."""


class MemorySample(NamedTuple):
    """Memory of a process at one time, in MiB."""

    seconds: float
    anonymous: float
    mapped: float
    """File-backed: libraries and memory-mapped arrays. The system can reclaim it."""
    peak: float
    """Peak of both together so far (VmHWM)."""


class Elapsed(NamedTuple):
    """Wall-clock and CPU time."""

    seconds: float
    cpu: float
    """CPU seconds of all threads, which depend less on other programs on the machine."""

    def since(self, start: Self) -> Self:
        """Time since `start`."""
        return Elapsed(self.seconds - start.seconds, self.cpu - start.cpu)

    def __add__(self, other: Self) -> Self:
        return Elapsed(self.seconds + other.seconds, self.cpu + other.cpu)


class CommandUsage(NamedTuple):
    """Time and memory of one command."""

    elapsed: Elapsed
    steps: dict[str, Elapsed]
    memory: list[MemorySample]

    def peak(self, kind: str) -> float:
        """Maximum of one field of MemorySample, in MiB."""
        return max(getattr(sample, kind) for sample in self.memory)


def run_and_measure(
    command: str, args: list[str], folder: Path, step_ends: dict[str, str], last_step: str
) -> CommandUsage:
    """Run one command of pipeline.py in `folder` and sample its memory.

    `step_ends` maps regular expressions for lines of stderr to the steps that these lines end.
    The time after the last such line belongs to `last_step`.
    """
    start = last = Elapsed(time.perf_counter(), 0.0)
    before = cpu_seconds_of_children()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline.py"), command, *args, "--run", "soak"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory: list[MemorySample] = []
    sampler = Thread(target=sample_memory, args=(process, start.seconds, memory))
    sampler.start()
    steps: dict[str, Elapsed] = {}
    last_lines = deque[str](maxlen=20)
    for line in process.stderr:
        last_lines.append(line)
        step = next((step for end, step in step_ends.items() if re.search(end, line)), None)
        if step:
            now = Elapsed(time.perf_counter(), cpu_seconds(process.pid))
            steps[step] = steps.get(step, Elapsed(0.0, 0.0)) + now.since(last)
            last = now
    # The pipe closes when the process ends; the sampler may still be sleeping.
    seconds = time.perf_counter()
    sampler.join()
    if process.returncode:
        sys.exit("".join([*last_lines, f"{command} failed"]))
    end = Elapsed(seconds, cpu_seconds_of_children() - before)
    if steps:
        steps[last_step] = end.since(last)
    elapsed = end.since(start)
    log(f"{command}: {elapsed.seconds:.0f} s, {elapsed.cpu:.0f} CPU s")
    return CommandUsage(elapsed, steps, memory)


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a running process has used in all its threads."""
    # The process name in brackets may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of_children() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sample_memory(process: subprocess.Popen, start: float, memory: list[MemorySample]) -> None:
    """Append samples to `memory` until the process ends."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        kib = {key: int(value) for key, value in re.findall(r"(\w+):\s+(\d+) kB", status)}
        # A process that is about to end has no memory fields.
        if "RssAnon" in kib:
            mib = (kib[key] / 1024 for key in ("RssAnon", "RssFile", "VmHWM"))
            memory.append(MemorySample(time.perf_counter() - start, *mib))
        time.sleep(INTERVAL)
