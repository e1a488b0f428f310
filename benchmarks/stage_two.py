"""Seconds and memory of stage two on made-up features of the true widths.

    python -m benchmarks.stage_two --rows 10000 --folds 5

Writes features.h5 to a temporary folder and runs fit-heads and submit on it in processes of their
own, as a user would. The features carry a planted signal: an interaction of both modalities.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from features.store import join_spaces, read_blocks, writing_space
from features.table import Rows

ROOT = Path(__file__).parent.parent
WIDTHS = (1280, 768)
TEST_SHARE = 0.15
BLOCK = 10_000
"""Rows made at once."""
SUBMIT = [
    "-c",
    "from pathlib import Path; from heads.config import SubmitConfig; "
    "from heads.stage import submit; submit(SubmitConfig(), Path('runs/made-up'))",
]
"""`submit` alone: made-up memes have no captions and pictures to report on."""


def main(
    rows: Annotated[int, typer.Option(help="Memes, test ones included.")] = 10_000,
    folds: Annotated[int, typer.Option(help="Fine-tuned spaces.")] = 5,
    again: Annotated[str, typer.Option(help="The head that is refitted alone.")] = "linear",
) -> None:
    """Print a table of seconds and peak memory of each command, and JSON to stdout's last line."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "made-up"
        write_run(run, rows, folds)
        commands = {
            "fit-heads": ["fit-heads"],
            f"fit-heads --heads {again}": ["fit-heads", "--heads", again],
            "submit, without the report": SUBMIT,
        }
        read_share = reading(run)
        measured = {name: timed(words, Path(folder)) for name, words in commands.items()}
        heads = json.loads((run / "metrics.json").read_text())["heads"]
    table = Table(title=f"{rows} rows, {folds} folds, {WIDTHS[0]} + {WIDTHS[1]} columns a space")
    for column in ("command", "s", "peak MiB"):
        table.add_column(column)
    for name, (seconds, memory) in measured.items():
        table.add_row(name, f"{seconds:.1f}", f"{memory:.0f}")
    for head in heads:
        table.add_row(f"  {head['name']}", f"{head['seconds']:.1f}", "")
    console = Console(width=80)
    console.print(table)
    console.print(f"a space is read at {read_share:.2f} of the speed of numpy.load on its bytes")
    report = {"rows": rows, "folds": folds, "seconds_mib": measured, "read_share": read_share}
    print(json.dumps(report))


def write_run(run: Path, count: int, folds: int) -> None:
    """A finished stage one of `count` memes: fine-tuned spaces, a pretrained and a lexical one."""
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 2, (count, 2))
    label = np.where(rng.random(count) < 0.2, rng.integers(0, 2, count), sides[:, 0] ^ sides[:, 1])
    test = np.arange(count) >= count * (1 - TEST_SHARE)
    every = np.arange(count)
    fold = np.where(test, -1, every % folds)
    rows = Rows(
        id=every.astype(str).astype(object),
        split=np.where(test, "test", "train").astype(object),
        label=label.astype(np.int8),
        group=every.astype(np.int32),
        fold=fold.astype(np.int16),
        order=np.where(test, every, -1).astype(np.int32),
    )
    spaces = {}
    for name in (*(f"space_{k}" for k in range(folds)), "pretrained", "lexical"):
        spaces[name] = run / f"{name}.h5"
        tuned = name.startswith("space_")
        with writing_space(spaces[name], count, *WIDTHS, joint=tuned) as space:
            for some in np.array_split(every, -(-count // BLOCK)):
                for part, width, side in zip(("image", "text"), WIDTHS, sides.T, strict=True):
                    space.write(part, some, embeddings(rng, side[some], width))
            if tuned:
                seen = ~test & (fold != int(name[6:]))
                space.write("joint_logit", every, (label - 0.5 + rng.normal(size=count)))
                space.write("seen", every, seen)
            space.describe({"name": name})
    attributes = {"stamp": "x", "config": {"seed": 0}, "id_column": "id", "label_column": "label"}
    join_spaces(run / "features.h5", rows, attributes, spaces)


def reading(run: Path, rounds: int = 5) -> float:
    """Speed of reading a space as a share of numpy.load's on the same bytes, from warm files."""
    ours, theirs = [], []
    for _, image, text in read_blocks(run / "features.h5", "pretrained"):
        np.save(run / "block.npy", np.concatenate([image, text], axis=1))
        break
    blocks = sum(1 for _ in read_blocks(run / "features.h5", "pretrained"))
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in read_blocks(run / "features.h5", "pretrained"):
            pass
        middle = time.perf_counter()
        for _ in range(blocks):
            np.load(run / "block.npy")
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    return float(np.median(np.array(theirs) / np.array(ours)))


def embeddings(rng: np.random.Generator, side: np.ndarray, width: int) -> np.ndarray:
    """float32 (N, width) of falling variance, as networks give, with `side` (N,) along one axis."""
    spread = (1 / np.sqrt(1 + np.arange(width))).astype(np.float32)
    values = rng.normal(size=(len(side), width)).astype(np.float32) * spread
    values[:, 2] += side - 0.5
    return values


def timed(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one command, run in `folder`."""
    start = time.perf_counter()
    command = [str(ROOT / "pipeline.py"), *words, "--run", "made-up"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, *(words if words is SUBMIT else command)],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return time.perf_counter() - start, peak


if __name__ == "__main__":
    typer.run(main)
