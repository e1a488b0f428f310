"""Time a folder of shards in one process, and with Ray on several workers; compare the bytes.

    python -m benchmarks.speed.shard_engines --folder DIR [--memes 10000] [--weights bundled]

The memes are made up. The backbones are tiny unless --weights bundled is given, so that what the
engines themselves cost is not hidden. DIR keeps the run and the shards for the next call.
"""

import csv
import hashlib
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.command_line import run_command
from benchmarks.soak_memes import caption, write_memes, write_weights

PIPELINE = Path(__file__).parents[2] / "pipeline.py"
TINY = ["--image-weights", "weights/image", "--text-weights", "weights/text"]
TRAINED = 600
"""Memes, pictures included, that the run is made from. Shards repeat its pictures."""


def main(
    folder: Annotated[Path, typer.Option(help="Folder to work in, which is kept.")],
    memes: Annotated[int, typer.Option(help="Memes to score.", min=100)] = 10_000,
    shards: Annotated[int, typer.Option(help="Tables that they are divided into.")] = 20,
    engines: Annotated[str, typer.Option(help="local, or the number of Ray workers.")] = "local,2",
    weights: Annotated[str, typer.Option(help="tiny or bundled.")] = "tiny",
) -> None:
    """Print seconds of each engine from start to end, and from first to last finished shard."""
    folder = folder / weights
    if not (folder / "runs" / "shards" / "solution.json").exists():
        make_run(folder, TINY if weights == "tiny" else ["--weights", weights])
    data = folder / "memes" / f"shards_{memes}_{shards}"
    if not data.exists():
        write_shards(data, memes, shards)
    for engine in engines.split(","):
        out = folder / "scores" / f"{memes}_{engine}"
        shutil.rmtree(out, ignore_errors=True)
        flags = [] if engine == "local" else ["--engine", "ray", "--workers", engine]
        start = time.perf_counter()
        run(folder, "predict", "--data", str(data), "--out", str(out), *flags)
        seconds = time.perf_counter() - start
        ends = sorted(path.stat().st_mtime for path in out.glob("*.csv"))
        # The first shard of each worker ends after its models are loaded.
        rest = len(ends) - (1 if engine == "local" else int(engine))
        rate = memes / shards * rest / (ends[-1] - ends[-rest - 1])
        print(
            f"{engine}: {seconds:.0f} s, {memes / seconds:.0f} memes/s; {rate:.0f} memes/s after "
            f"the models are loaded; results {digest(out)}"
        )


def make_run(folder: Path, weights: list[str]) -> None:
    """Fine-tune two folds for an epoch each and fit one head."""
    shutil.rmtree(folder, ignore_errors=True)
    write_memes(folder / "memes", TRAINED)
    write_weights(folder / "weights")
    settings = ["--folds", "2", "--epochs", "1", "--heads", "linear"]
    run(folder, "run", "--data", "memes", *weights, *settings)


def write_shards(data: Path, memes: int, shards: int) -> None:
    """Write tables of memes with new captions, and the pictures of the run in turn."""
    data.mkdir()
    (data / "img").symlink_to("../img")
    rng = np.random.default_rng(1)
    for shard in range(shards):
        with (data / f"part-{shard:04}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("id", "img", "text"))
            for number in range(shard * memes // shards, (shard + 1) * memes // shards):
                table.writerow((number, f"img/{number % TRAINED}.png", caption(rng)))


def run(folder: Path, command: str, *flags: str) -> None:
    """Run a command of pipeline.py in `folder`; its messages are shown if it fails."""
    words = [sys.executable, str(PIPELINE), command, "--run", "shards", *flags]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(re.sub(r"(?m)^", "  ", done.stderr))


def digest(out: Path) -> str:
    """Return a short hash of all results, by name."""
    found = hashlib.sha256()
    for path in sorted(out.glob("*.csv")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


if __name__ == "__main__":
    run_command(main)
