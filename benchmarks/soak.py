"""Time per meme and memory of the three commands on many made-up memes, against few of them.

    python -m benchmarks.soak --memes 100000 --against 10000

Draws memes into a temporary folder and runs extract, fit-heads and submit on them in processes of
their own, as a user would, with tiny backbones: what is looked for is what grows faster than the
memes, and not how fast the towers are.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.soak_memes import write_memes, write_weights
from features.progress import say

ROOT = Path(__file__).parent.parent
WEIGHTS = ["--image-weights", "weights/image", "--text-weights", "weights/text"]
COMMANDS = {
    "extract": ["--data", "memes", *WEIGHTS, "--folds", "2", "--epochs", "1"],
    "fit-heads": [],
    "submit": [],
}
ENDS = {
    r"^train: ": "decode",
    r"^backbones: ": "group",
    r"^space_\d+: .* fitted": "plan",
    r"^epoch 1: ": "train",
    r"^(space_\d+|pretrained): made": "embed",
    r"^lexical: made": "lexical",
}
"""What `extract` says -> the step that ends with it: decode from the start on, with reading and
tokenising; group with cutting folds; plan is who is fitted, and the n-grams of captions."""
LAST_STEP = "join"
EVERY = 1.0
"""Seconds between two looks at the memory."""
POINTS = 20


class Memory(NamedTuple):
    """What a process holds at one time, in MiB."""

    seconds: float
    anonymous: float
    mapped: float
    """Of files: libraries, memory-mapped arrays. The system can take it back."""
    peak: float
    """The most of both together until then, by the system's own count."""


class Course(NamedTuple):
    """How one command went."""

    seconds: float
    steps: dict[str, float]
    """Seconds."""
    memory: list[Memory]

    def peak(self, kind: str) -> float:
        """MiB of one field of Memory."""
        return max(getattr(moment, kind) for moment in self.memory)


def main(
    memes: Annotated[int, typer.Option(help="Memes, test ones included.", min=200)] = 100_000,
    against: Annotated[int, typer.Option(help="The few they are held against.", min=200)] = 10_000,
) -> None:
    """Print tables of time, memory and their growth, and JSON to stdout's last line."""
    few, many = soak(against), soak(memes)
    console = Console(width=80)
    for table in (peaks(many, memes), growth(few, many, against, memes), curves(many)):
        console.print(table)
    found = {
        count: {name: summary(course) for name, course in courses.items()}
        for count, courses in ((against, few), (memes, many))
    }
    print(json.dumps(found))


def soak(count: int) -> dict[str, Course]:
    """Make so many memes, and run the commands on them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        write_memes(folder / "memes", count)
        say(f"{count} memes drawn in {time.perf_counter() - start:.0f} s")
        write_weights(folder / "weights")
        return {command: watched(command, words, folder) for command, words in COMMANDS.items()}


def watched(command: str, words: list[str], folder: Path) -> Course:
    """Run one command in `folder`; time its steps by what it says, and sample its memory."""
    start = last = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline.py"), command, *words, "--run", "soak"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory: list[Memory] = []
    watcher = Thread(target=watch, args=(process, start, memory))
    watcher.start()
    steps: dict[str, float] = {}
    said = deque[str](maxlen=20)
    for line in process.stderr:
        said.append(line)
        for end, step in ENDS.items():
            if re.search(end, line):
                now = time.perf_counter()
                steps[step] = steps.get(step, 0.0) + now - last
                last = now
                break
    # Its end closes the pipe; the watcher may sleep a little longer.
    done = time.perf_counter()
    watcher.join()
    if process.returncode:
        sys.exit("".join([*said, f"{command} failed"]))
    if steps:
        steps[LAST_STEP] = done - last
    say(f"{command}: {done - start:.0f} s")
    return Course(done - start, steps, memory)


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


def peaks(courses: dict[str, Course], memes: int) -> Table:
    """Seconds and peak memory of every command."""
    table = Table(title=f"{memes} memes")
    for column in ("command", "s", "ms a meme", "anonymous MiB", "mapped MiB", "both MiB"):
        table.add_column(column)
    for name, course in courses.items():
        held = (f"{course.peak(kind):.0f}" for kind in ("anonymous", "mapped", "peak"))
        table.add_row(name, f"{course.seconds:.1f}", f"{1000 * course.seconds / memes:.2f}", *held)
    return table


def growth(few: dict[str, Course], many: dict[str, Course], less: int, more: int) -> Table:
    """Time per meme of commands and steps, many against few, and peak memory per added meme."""
    table = Table(title=f"{more} memes against {less}")
    headings = ("ratio a meme", "ms an added meme", "KiB an added meme")
    for column in ("", f"s, {less}", f"s, {more}", *headings):
        table.add_column(column)
    for name, course in many.items():
        added = 1024 * (course.peak("anonymous") - few[name].peak("anonymous")) / (more - less)
        times = {name: (few[name].seconds, course.seconds)}
        times |= {f"  {step}": (few[name].steps[step], s) for step, s in course.steps.items()}
        for row, (before, after) in times.items():
            ratio = (after / more) / (before / less)
            each = 1000 * (after - before) / (more - less)
            cells = (f"{before:.1f}", f"{after:.1f}", f"{ratio:.2f}", f"{each:.2f}")
            table.add_row(row, *cells, f"{added:.1f}" if row == name else "")
    return table


def curves(courses: dict[str, Course]) -> Table:
    """Anonymous memory of each command as time goes by."""
    table = Table(title="anonymous memory, most of each twentieth of the time")
    columns = []
    for name, course in courses.items():
        table.add_column(f"{name}, min")
        table.add_column("MiB")
        moments = thinned(course)
        rows = [(f"{m.seconds / 60:.1f}", f"{m.anonymous:.0f}") for m in moments]
        columns.append(rows + [("", "")] * (POINTS - len(rows)))
    for cells in zip(*columns, strict=True):
        table.add_row(*(value for cell in cells for value in cell))
    return table


def thinned(course: Course) -> list[Memory]:
    """At most POINTS moments: of each part of the time, the one of most anonymous memory."""
    width = course.seconds / POINTS
    parts = [
        [moment for moment in course.memory if int(moment.seconds / width) == number]
        for number in range(POINTS)
    ]
    return [max(part, key=lambda moment: moment.anonymous) for part in parts if part]


def summary(course: Course) -> dict[str, Any]:
    """JSON-ready: seconds, MiB, and the curve as lists of minutes, anonymous and mapped MiB."""
    return {
        "seconds": round(course.seconds, 1),
        "steps": {step: round(seconds, 1) for step, seconds in course.steps.items()},
        "peak_mib": {kind: round(course.peak(kind)) for kind in ("anonymous", "mapped", "peak")},
        "curve": [
            [round(moment.seconds / 60, 2), round(moment.anonymous), round(moment.mapped)]
            for moment in thinned(course)
        ],
    }


if __name__ == "__main__":
    typer.run(main)
