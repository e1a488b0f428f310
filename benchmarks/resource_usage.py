"""How one command of memefuse goes: its time, step by step, and its memory, second by second."""

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
EVERY = 1.0
"""Seconds between two looks at the memory."""


class Memory(NamedTuple):
    """What a process holds at one time, in MiB."""

    seconds: float
    anonymous: float
    mapped: float
    """Of files: libraries, memory-mapped arrays. The system can take it back."""
    peak: float
    """The most of both together until then, by the system's own count."""


class Spent(NamedTuple):
    """Time, or a stretch of it."""

    seconds: float
    cpu: float
    """Seconds of all cores, which other programs on the machine change less."""

    def since(self, start: Self) -> Self:
        """The stretch from `start` to here."""
        return Spent(self.seconds - start.seconds, self.cpu - start.cpu)

    def __add__(self, other: Self) -> Self:
        return Spent(self.seconds + other.seconds, self.cpu + other.cpu)


class Course(NamedTuple):
    """How one command went."""

    spent: Spent
    steps: dict[str, Spent]
    memory: list[Memory]

    def peak(self, kind: str) -> float:
        """MiB of one field of Memory."""
        return max(getattr(moment, kind) for moment in self.memory)


def watched(
    command: str, words: list[str], folder: Path, ends: dict[str, str], last_step: str
) -> Course:
    """Run one command of pipeline.py in `folder`, and sample its memory.

    `ends` says which lines of its stderr, regular expressions, end which step; what comes after
    the last such line is the `last_step`.
    """
    start = last = Spent(time.perf_counter(), 0.0)
    before = cpu_of_children()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline.py"), command, *words, "--run", "soak"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory: list[Memory] = []
    watcher = Thread(target=watch, args=(process, start.seconds, memory))
    watcher.start()
    steps: dict[str, Spent] = {}
    said = deque[str](maxlen=20)
    for line in process.stderr:
        said.append(line)
        step = next((step for end, step in ends.items() if re.search(end, line)), None)
        if step:
            now = Spent(time.perf_counter(), cpu_of(process.pid))
            steps[step] = steps.get(step, Spent(0.0, 0.0)) + now.since(last)
            last = now
    # Its end closes the pipe; the watcher may sleep a little longer.
    seconds = time.perf_counter()
    watcher.join()
    if process.returncode:
        sys.exit("".join([*said, f"{command} failed"]))
    done = Spent(seconds, cpu_of_children() - before)
    if steps:
        steps[last_step] = done.since(last)
    spent = done.since(start)
    log(f"{command}: {spent.seconds:.0f} s, {spent.cpu:.0f} s of cores")
    return Course(spent, steps, memory)


def cpu_of(pid: int) -> float:
    """Seconds of cores that a running process has used, in all its threads."""
    # The name, in brackets, may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_children() -> float:
    """The same of all commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def watch(process: subprocess.Popen, start: float, memory: list[Memory]) -> None:
    """Append to `memory` until the process ends."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        kib = {key: int(value) for key, value in re.findall(r"(\w+):\s+(\d+) kB", status)}
        # A process that is about to end has no memory.
        if "RssAnon" in kib:
            held = (kib[key] / 1024 for key in ("RssAnon", "RssFile", "VmHWM"))
            memory.append(Memory(time.perf_counter() - start, *held))
        time.sleep(EVERY)
