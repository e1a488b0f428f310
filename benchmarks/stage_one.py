"""Speed of stage one in memes per second, compared with the baseline and the bare backbones.

    python -m benchmarks.stage_one [--memes 400] [--rounds 3] [--weights random]

All programs process the same sample memes in turn, in this process; results are medians over the
rounds. `as run`: each program with its default settings. `matched`: all with our picture size,
captions padded to the longest in the batch, and float32 (on a GPU, half precision). `seed` is the
baseline (`seed_recipe`).
`bare` is only the backbones, on our batches, which are already in memory.
"""

import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run_command
from benchmarks.compared_programs import (
    PROGRAMS,
    Workload,
    flops_per_meme,
    make_workload,
    matmul_gflops,
)
from extract.sample import write_sample
from runtime.progress import log


def main(
    memes: Annotated[int, typer.Option(help="Number of sample memes.", min=120)] = 400,
    rounds: Annotated[int, typer.Option(help="Rounds to take the median of.", min=1)] = 3,
    weights: Annotated[
        Literal["bundled", "random"],
        typer.Option(help="random: EfficientNet-B0 and DistilBERT in their true sizes."),
    ] = "bundled",
) -> None:
    """Print memes per second and ratios, and JSON on the last line of stdout."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_sample(Path(folder) / "sample", memes, seed=0)
        speeds = {}
        for task in PROGRAMS:
            for matched in (False, True):
                workload = make_workload(data, matched, Path(folder), weights)
                name = f"{task}, {'matched' if matched else 'as run'}"
                speeds[name] = compare(workload, PROGRAMS[task], rounds)
        flops = {t: flops_per_meme(workload, training=t == "training") for t in PROGRAMS}
        utilisation = {t: flop_rates(speeds[f"{t}, matched"], flops[t]) for t in PROGRAMS}
    print_tables(speeds, utilisation, describe_machine())
    print(json.dumps({"machine": describe_machine(), "memes": memes, "rounds": rounds, **speeds}))
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**30
        log(f"peak GPU memory of all programs: {peak:.2f} GiB")


def compare(
    workload: Workload,
    programs: dict[str, Callable[[Workload], tuple[float, int]]],
    rounds: int,
) -> dict[str, float]:
    """Memes per second of each program, and medians of the ratios within each round."""
    speed: dict[str, list[float]] = {name: [] for name in programs}
    # The first round is a warm-up and is not counted.
    for number in range(rounds + 1):
        for name, program in programs.items():
            seconds, memes = program(workload)
            log(f"{workload.name}, round {number}, {name}: {memes / seconds:.1f} memes/s")
            if number:
                speed[name].append(memes / seconds)
    seed, ours, bare = (np.array(speed[name]) for name in ("seed", "ours", "bare"))
    medians = {name: float(np.median(values)) for name, values in speed.items()}
    return {
        **medians,
        "ours / seed": float(np.median(ours / seed)),
        "ours / bare": float(np.median(ours / bare)),
    }


def flop_rates(speed: dict[str, float], flops: float) -> dict[str, float]:
    """GFLOP/s of our program at `flops` operations per meme, as such and relative to a matmul."""
    matmul = matmul_gflops(torch.float32)
    rate = speed["ours"] * flops / 1e9
    return {"GFLOP per meme": flops / 1e9, "GFLOP/s": rate, "of matrix product": rate / matmul}


def describe_machine() -> str:
    """Describe architecture, threads, GPU and torch version in one line."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"
    )


def print_tables(speeds: dict, utilisation: dict, machine: str) -> None:
    """Print speeds as a table and FLOP rates as lines below it."""
    table = Table(title="memes per second", caption=machine)
    names = ("seed", "ours", "bare", "ours / seed", "ours / bare")
    for column in ("", *names):
        table.add_column(column)
    for task, speed in speeds.items():
        table.add_row(task, *(f"{speed[name]:.2f}" for name in names))
    console = Console(width=80)
    console.print(table)
    for task, rates in utilisation.items():
        listed = ", ".join(f"{name} {value:.2f}" for name, value in rates.items())
        console.print(f"{task}, matched: {listed}")


if __name__ == "__main__":
    run_command(main)
