"""Seconds and memory of stage two on made-up features of the true widths.

    python -m benchmarks.stage_two --rows 10000 --folds 5

Writes features.h5 to a temporary folder and runs fit-heads and submit on it in processes of their
own, as a user would. The features carry a planted signal: an interaction of both modalities.
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

from features.feature_table import Rows
from features.hdf5_store import join_spaces, read_blocks, writing_space

ROOT = Path(__file__).parent.parent
WIDTHS = (1280, 768)
TEST_SHARE = 0.15
BLOCK = 10_000
"""Rows made at once."""
SUBMIT = [
    "-c",
    "from pathlib import Path; from heads.config import SubmitConfig; "
    "from heads.run import submit; submit(SubmitConfig(), Path('runs/made-up'))",
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
    for name, share in read_share.items():
        console.print(
            f"a space is read at {share:.2f} of numpy's speed on the same bytes {name}, "
            "which verifies nothing"
        )
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
    for path in spaces.values():
        path.unlink()


def reading(run: Path, rounds: int = 5) -> dict[str, float]:
    """Speed of reading a space, verified, as a share of numpy's on a file of the same bytes.

    numpy reads the file in the same blocks, and as two whole arrays.
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
    process = subprocess.Popen(
        [sys.executable, *(words if words is SUBMIT else command)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    # Of this child alone, and not the largest so far.
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    typer.run(main)
