"""Scaling of time and memory: the three commands on many made-up memes, compared with few.

    python -m benchmarks.soak --memes 100000 --against 10000

Writes made-up memes to a temporary folder and runs extract, fit-heads and submit on them, each in a
separate process. The backbones are tiny, because the purpose is to find steps that scale worse than
linearly, not to measure the towers.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run_command
from benchmarks.resource_usage import CommandUsage, Elapsed, MemorySample, run_and_measure
from benchmarks.soak_memes import write_memes, write_weights
from runtime.progress import log

WEIGHTS = ["--image-weights", "weights/image", "--text-weights", "weights/text"]
COMMANDS = {
    "extract": ["--data", "memes", *WEIGHTS, "--folds", "2", "--epochs", "1"],
    "fit-heads": [],
    "submit": [],
}
STEP_ENDS = {
    r"^train: ": "decode",
    r"^backbones: ": "group",
    r"^space_\d+: .* fitted": "plan",
    r"^epoch 1: ": "train",
    r"^(space_\d+|pretrained): complete": "embed",
    r"^lexical: complete": "lexical",
}
"""Progress message of `extract` -> the step that ends with it. `decode` includes startup, reading
and tokenising; `group` includes the folds; `plan` is the choice of fitted rows and the n-grams."""
LAST_STEP = "join"
POINTS = 20
"""Number of points in a memory curve."""


def main(
    memes: Annotated[
        int, typer.Option(help="Number of memes, including test memes.", min=200)
    ] = 100_000,
    against: Annotated[
        int, typer.Option(help="Number of memes in the small run to compare with.", min=200)
    ] = 10_000,
) -> None:
    """Print tables of time, memory and their growth, and JSON on the last line of stdout."""
    few, many = measure_commands(against), measure_commands(memes)
    console = Console(width=80)
    tables = (
        usage_table(many, memes),
        growth_table(few, many, against, memes),
        memory_table(many),
    )
    for table in tables:
        console.print(table)
    report = {
        count: {name: summary(usage) for name, usage in usages.items()}
        for count, usages in ((against, few), (memes, many))
    }
    print(json.dumps(report))


def measure_commands(count: int) -> dict[str, CommandUsage]:
    """Write `count` memes, run the commands on them and measure each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        write_memes(folder / "memes", count)
        log(f"{count} memes written in {time.perf_counter() - start:.0f} s")
        write_weights(folder / "weights")
        return {
            command: run_and_measure(command, args, folder, STEP_ENDS, LAST_STEP)
            for command, args in COMMANDS.items()
        }


def usage_table(usages: dict[str, CommandUsage], memes: int) -> Table:
    """Time and peak memory of each command."""
    table = Table(title=f"{memes} memes")
    for column in ("command", "s", "CPU s", "CPU ms per meme", "anonymous MiB", "mapped", "both"):
        table.add_column(column)
    for name, usage in usages.items():
        seconds, cpu = usage.elapsed
        mib = (f"{usage.peak(kind):.0f}" for kind in ("anonymous", "mapped", "peak"))
        table.add_row(name, f"{seconds:.1f}", f"{cpu:.1f}", f"{1000 * cpu / memes:.2f}", *mib)
    return table


def growth_table(
    few: dict[str, CommandUsage], many: dict[str, CommandUsage], less: int, more: int
) -> Table:
    """Time per meme of commands and steps, many vs few, and peak memory per added meme."""
    table = Table(title=f"{more} memes compared with {less}")
    headings = (
        f"CPU s, {less}",
        f"{more}",
        "ratio per meme",
        "ms per added meme",
        "KiB per added meme",
    )
    for column in ("", *headings):
        table.add_column(column)
    for name, usage in many.items():
        added = 1024 * (usage.peak("anonymous") - few[name].peak("anonymous")) / (more - less)
        times = {name: (few[name].elapsed.cpu, usage.elapsed.cpu)}
        times |= {f"  {s}": (few[name].steps[s].cpu, t.cpu) for s, t in usage.steps.items()}
        for row, (before, after) in times.items():
            ratio = (after / more) / (before / less)
            each = 1000 * (after - before) / (more - less)
            cells = (f"{before:.1f}", f"{after:.1f}", f"{ratio:.2f}", f"{each:.2f}")
            table.add_row(row, *cells, f"{added:.1f}" if row == name else "")
    return table


def memory_table(usages: dict[str, CommandUsage]) -> Table:
    """Anonymous memory of each command over time."""
    table = Table(title=f"anonymous memory, maximum of each 1/{POINTS} of the time")
    columns = []
    for name, usage in usages.items():
        table.add_column(f"{name}, min")
        table.add_column("MiB")
        samples = downsample(usage)
        rows = [(f"{s.seconds / 60:.1f}", f"{s.anonymous:.0f}") for s in samples]
        columns.append(rows + [("", "")] * (POINTS - len(rows)))
    for cells in zip(*columns, strict=True):
        table.add_row(*(value for cell in cells for value in cell))
    return table


def downsample(usage: CommandUsage) -> list[MemorySample]:
    """At most POINTS samples: the maximum of anonymous memory in each of POINTS intervals."""
    width = usage.elapsed.seconds / POINTS
    parts = [
        [sample for sample in usage.memory if int(sample.seconds / width) == number]
        for number in range(POINTS)
    ]
    return [max(part, key=lambda sample: sample.anonymous) for part in parts if part]


def summary(usage: CommandUsage) -> dict[str, Any]:
    """Return JSON-ready values: seconds and CPU seconds, peak MiB, and the memory curve.

    The points of the curve are minutes, anonymous MiB and mapped MiB.
    """
    return {
        "seconds": rounded(usage.elapsed),
        "steps": {step: rounded(elapsed) for step, elapsed in usage.steps.items()},
        "peak_mib": {kind: round(usage.peak(kind)) for kind in ("anonymous", "mapped", "peak")},
        "curve": [
            [round(sample.seconds / 60, 2), round(sample.anonymous), round(sample.mapped)]
            for sample in downsample(usage)
        ],
    }


def rounded(elapsed: Elapsed) -> list[float]:
    """Seconds and CPU seconds, to one decimal place."""
    return [round(value, 1) for value in elapsed]


if __name__ == "__main__":
    run_command(main)
