"""Memes per second of stage one against the seed recipe, and against the bare backbones.

    python -m benchmarks.stage_one [--memes 400] [--rounds 3]

All programs do the same work in turn, in this process, on sample memes; a figure is the median of
the rounds. `as run`: each with its own settings. `matched`: all with our picture size, the longest
caption of a batch as its length, and float32. Bare are the backbones alone, on the same batches as
ours, in memory already.
"""

import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.compared_programs import PROGRAMS, Work, matmul_rate, operations, read_work
from extract.sample import write_sample
from runtime.progress import log


def main(
    memes: Annotated[int, typer.Option(help="Sample memes.", min=120)] = 400,
    rounds: Annotated[int, typer.Option(help="Of which the median is taken.", min=1)] = 3,
) -> None:
    """Print memes per second and ratios; JSON on the last line."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_sample(Path(folder) / "sample", memes, seed=0)
        found = {}
        for task in PROGRAMS:
            for matched in (False, True):
                work = read_work(data, matched, Path(folder))
                found[f"{task}, {'matched' if matched else 'as run'}"] = compare(
                    work, PROGRAMS[task], rounds
                )
        arithmetic = {
            task: rates(found[f"{task}, matched"], operations(work, training=task == "training"))
            for task in PROGRAMS
        }
    show(found, arithmetic, describe())
    print(json.dumps({"machine": describe(), "memes": memes, "rounds": rounds, **found}))


def compare(
    work: Work, programs: dict[str, Callable[[Work], tuple[float, int]]], rounds: int
) -> dict[str, float]:
    """Memes per second of each program, and the medians of ratios within a round."""
    speed: dict[str, list[float]] = {name: [] for name in programs}
    # The first round warms caches and does not count.
    for number in range(rounds + 1):
        for name, program in programs.items():
            seconds, memes = program(work)
            log(f"{work.name}, round {number}, {name}: {memes / seconds:.1f} memes/s")
            if number:
                speed[name].append(memes / seconds)
    seed, ours, bare = (np.array(speed[name]) for name in ("seed", "ours", "bare"))
    medians = {name: float(np.median(values)) for name, values in speed.items()}
    return {
        **medians,
        "ours / seed": float(np.median(ours / seed)),
        "ours / bare": float(np.median(ours / bare)),
    }


def rates(found: dict[str, float], each: float) -> dict[str, float]:
    """Arithmetic rate in GFLOP/s, by `each` meme's operations, and its share of a product's."""
    product = matmul_rate(torch.float32)
    rate = found["ours"] * each / 1e9
    return {"GFLOP per meme": each / 1e9, "GFLOP/s": rate, "of matrix product": rate / product}


def describe() -> str:
    """The machine in one line."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"
    )


def show(found: dict, arithmetic: dict, machine: str) -> None:
    """One table."""
    table = Table(title="memes per second", caption=machine)
    names = ("seed", "ours", "bare", "ours / seed", "ours / bare")
    for column in ("", *names):
        table.add_column(column)
    for task, figures in found.items():
        table.add_row(task, *(f"{figures[name]:.2f}" for name in names))
    console = Console(width=80)
    console.print(table)
    for task, figures in arithmetic.items():
        words = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        console.print(f"{task}, matched: {words}")


if __name__ == "__main__":
    typer.run(main)
