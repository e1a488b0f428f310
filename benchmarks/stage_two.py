"""Time and memory of stage two on made-up features of realistic width.

    python -m benchmarks.stage_two --rows 10000 --folds 5

Writes features.h5 to a temporary folder and runs fit-heads and submit on it, each in a separate
process. The features contain a planted signal: an interaction of both modalities.
"""

import json
import os
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

from benchmarks.command_line import run_command
from features.embedding_dtypes import FLOAT32
from features.feature_table import Rows
from features.hdf5_store import join_spaces, read_blocks
from features.space_files import writing_space

ROOT = Path(__file__).parent.parent
WIDTHS = (1280, 768)
"""Image and text columns."""
TEST_SHARE = 0.15
BLOCK = 10_000
"""Rows generated at once."""
SUBMIT = [
    "-c",
    "from pathlib import Path; from heads.config import SubmitConfig; "
    "from heads.run import submit; submit(SubmitConfig(), Path('runs/made-up'))",
]
"""`submit` without the report, which needs captions and pictures."""


def main(
    rows: Annotated[int, typer.Option(help="Number of memes, including test memes.")] = 10_000,
    folds: Annotated[int, typer.Option(help="Number of fine-tuned spaces.")] = 5,
    again: Annotated[str, typer.Option(help="Head to refit on its own.")] = "linear",
    embedding_dtype: Annotated[str, typer.Option(help="Type of stored embeddings.")] = FLOAT32,
) -> None:
    """Print seconds and peak memory of each command, and JSON on the last line of stdout."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "made-up"
        write_run(run, rows, folds, embedding_dtype)
        commands = {
            "fit-heads": ["fit-heads"],
            f"fit-heads --heads {again}": ["fit-heads", "--heads", again],
            "submit, without the report": SUBMIT,
        }
        measured = {name: measure(args, Path(folder)) for name, args in commands.items()}
        # Last, because a child's peak memory is at least what its parent had when it started.
        read_share = relative_read_speed(run)
        heads = json.loads((run / "metrics.json").read_text())["heads"]
    table = Table(title=f"{rows} rows, {folds} folds, {WIDTHS[0]} + {WIDTHS[1]} columns per space")
    for column in ("command", "s", "peak MiB"):
        table.add_column(column)
    for name, (seconds, memory) in measured.items():
        table.add_row(name, f"{seconds:.1f}", f"{memory:.0f}")
    for head in heads:
        table.add_row(f"  {head['name']}", f"{head['seconds']:.1f}", "")
    console = Console(width=80)
    console.print(table)
    for name, share in read_share.items():
        console.print(
            f"a space is read and verified at {share:.2f} of the speed at which numpy reads the "
            f"same bytes {name} without verification"
        )
    report = {"rows": rows, "folds": folds, "seconds_mib": measured, "read_share": read_share}
    print(json.dumps(report))


def write_run(run: Path, count: int, folds: int, dtype: str = FLOAT32) -> None:
    """Write features.h5 of `count` memes: `folds` fine-tuned spaces, `pretrained` and `lexical`."""
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 2, (count, 2))
    label = np.where(rng.random(count) < 0.2, rng.integers(0, 2, count), sides[:, 0] ^ sides[:, 1])
    test = np.arange(count) >= count * (1 - TEST_SHARE)
    all_rows = np.arange(count)
    fold = np.where(test, -1, all_rows % folds)
    rows = Rows(
        id=all_rows.astype(str).astype(object),
        split=np.where(test, "test", "train").astype(object),
        label=label.astype(np.int8),
        group=all_rows.astype(np.int32),
        fold=fold.astype(np.int16),
        order=np.where(test, all_rows, -1).astype(np.int32),
    )
    spaces = {}
    for name in (*(f"space_{k}" for k in range(folds)), "pretrained", "lexical"):
        spaces[name] = run / f"{name}.h5"
        fine_tuned = name.startswith("space_")
        with writing_space(spaces[name], count, *WIDTHS, fine_tuned, dtype) as space:
            for block in np.array_split(all_rows, -(-count // BLOCK)):
                for part, width, side in zip(("image", "text"), WIDTHS, sides.T, strict=True):
                    space.write(part, block, random_embeddings(rng, side[block], width))
            if fine_tuned:
                seen = ~test & (fold != int(name[6:]))
                space.write("joint_logit", all_rows, (label - 0.5 + rng.normal(size=count)))
                space.write("seen", all_rows, seen)
            space.set_attributes({"name": name})
    attributes = {"stamp": "x", "config": {"seed": 0}, "id_column": "id", "label_column": "label"}
    join_spaces(run / "features.h5", rows, attributes, spaces)
    for path in spaces.values():
        path.unlink()


def relative_read_speed(run: Path, rounds: int = 5) -> dict[str, float]:
    """Speed of reading and verifying a space, relative to numpy reading a file of the same bytes.

    numpy reads the file in the same blocks, and as two whole arrays. Medians over the rounds.
    """
    features, plain = run / "features.h5", run / "plain.bin"
    with plain.open("wb") as file:
        for _, *block in read_blocks(features, "pretrained"):
            for values in block:
                values.tofile(file)
    sizes = [v.size for _, *block in read_blocks(features, "pretrained") for v in block]
    shapes = {"in blocks": sizes, "as whole arrays": [sum(sizes[::2]), sum(sizes[1::2])]}
    shares: dict[str, list[float]] = {name: [] for name in shapes}
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in read_blocks(features, "pretrained"):
            pass
        ours = time.perf_counter() - start
        for name, parts in shapes.items():
            start = time.perf_counter()
            with plain.open("rb") as file:
                for size in parts:
                    np.fromfile(file, np.float32, size)
            shares[name].append((time.perf_counter() - start) / ours)
    plain.unlink()
    return {name: float(np.median(share)) for name, share in shares.items()}


def random_embeddings(rng: np.random.Generator, side: np.ndarray, width: int) -> np.ndarray:
    """float32 (N, width): variance decreases by column; column 2 also depends on `side` (N,)."""
    scale = (1 / np.sqrt(1 + np.arange(width))).astype(np.float32)
    values = rng.normal(size=(len(side), width)).astype(np.float32) * scale
    values[:, 2] += side - 0.5
    return values


def measure(args: list[str], folder: Path) -> tuple[float, float]:
    """Run one command in `folder`; return its seconds and peak MiB."""
    start = time.perf_counter()
    command = [str(ROOT / "pipeline.py"), *args, "--run", "made-up"]
    process = subprocess.Popen(
        [sys.executable, *(args if args is SUBMIT else command)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    # wait4 returns the usage of this child only; getrusage would return the maximum so far.
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(args)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    run_command(main)
