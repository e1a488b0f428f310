"""Time per meme and memory of the three commands on many made-up memes, against few of them.

    python -m benchmarks.soak --memes 100000 --against 10000

Draws memes into a temporary folder and runs extract, fit-heads and submit on them in processes of
their own, as a user would, with tiny backbones: what is looked for is what grows faster than the
memes, and not how fast the towers are.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.resource_usage import Course, Memory, Spent, watched
from benchmarks.soak_memes import write_memes, write_weights
from runtime.progress import log

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
POINTS = 20


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
        log(f"{count} memes drawn in {time.perf_counter() - start:.0f} s")
        write_weights(folder / "weights")
        return {
            command: watched(command, words, folder, ENDS, LAST_STEP)
            for command, words in COMMANDS.items()
        }


def peaks(courses: dict[str, Course], memes: int) -> Table:
    """Time and peak memory of every command."""
    table = Table(title=f"{memes} memes")
    for column in ("command", "s", "CPU s", "CPU ms a meme", "anonymous MiB", "mapped", "both"):
        table.add_column(column)
    for name, course in courses.items():
        seconds, cpu = course.spent
        held = (f"{course.peak(kind):.0f}" for kind in ("anonymous", "mapped", "peak"))
        table.add_row(name, f"{seconds:.1f}", f"{cpu:.1f}", f"{1000 * cpu / memes:.2f}", *held)
    return table


def growth(few: dict[str, Course], many: dict[str, Course], less: int, more: int) -> Table:
    """Time per meme of commands and steps, many against few, and peak memory per added meme."""
    table = Table(title=f"{more} memes against {less}")
    headings = (
        f"CPU s, {less}",
        f"{more}",
        "ratio a meme",
        "ms an added meme",
        "KiB an added meme",
    )
    for column in ("", *headings):
        table.add_column(column)
    for name, course in many.items():
        added = 1024 * (course.peak("anonymous") - few[name].peak("anonymous")) / (more - less)
        times = {name: (few[name].spent.cpu, course.spent.cpu)}
        times |= {f"  {s}": (few[name].steps[s].cpu, t.cpu) for s, t in course.steps.items()}
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
    width = course.spent.seconds / POINTS
    parts = [
        [moment for moment in course.memory if int(moment.seconds / width) == number]
        for number in range(POINTS)
    ]
    return [max(part, key=lambda moment: moment.anonymous) for part in parts if part]


def summary(course: Course) -> dict[str, Any]:
    """JSON-ready: seconds and seconds of cores, MiB, and the curve as minutes, anonymous and
    mapped MiB."""
    return {
        "seconds": rounded(course.spent),
        "steps": {step: rounded(spent) for step, spent in course.steps.items()},
        "peak_mib": {kind: round(course.peak(kind)) for kind in ("anonymous", "mapped", "peak")},
        "curve": [
            [round(moment.seconds / 60, 2), round(moment.anonymous), round(moment.mapped)]
            for moment in thinned(course)
        ],
    }


def rounded(spent: Spent) -> list[float]:
    """Seconds, seconds of cores."""
    return [round(value, 1) for value in spent]


if __name__ == "__main__":
    typer.run(main)
