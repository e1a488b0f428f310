"""Compare an exported run with the run: probabilities, AUROC, time of one meme, size on disk.

python -m benchmarks.speed.exported_scoring --run runs/NAME --data test.csv --out FOLDER

Makes an environment in FOLDER from the requirements of the export. `--data` is a CSV file with the
columns id, img, text and label, of memes that the run has as test rows: their groups of
near-duplicates are resampled. Needs requirements-export.txt.
"""

import shutil
import subprocess
import sys
import time
import venv
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.command_line import run_command
from extract.new_memes import read_new_memes
from extract.predict import load_spaces, space_folders
from extract.spaces.checkpoint import any_checkpoint, read_checkpoint, save_checkpoint
from features.hdf5_store import read_features
from heads.predict import load_scorer
from heads.report.paired_differences import paired_difference
from serve.config import ExportConfig
from serve.export.checked_export import export

RESIDENT = """
import csv, sys, time
from io import BytesIO
from pathlib import Path
folder, table = map(Path, sys.argv[1:])
sys.path.insert(0, str(folder / "code"))
from runtime.picture_opening import open_picture
from serve.export.score_memes import ExportedRun
run, seconds = ExportedRun(folder), []
for row in list(csv.DictReader(table.open(encoding="utf-8")))[:110]:
    start = time.perf_counter()
    picture = open_picture(table.parent / row["img"]) if row["img"] else None
    run.score([picture], [row["text"]])
    seconds.append(time.perf_counter() - start)
seconds = sorted(seconds[10:])
print(f"{seconds[len(seconds) // 2] * 1000:.0f}")
"""
"""Prints the median of one meme in milliseconds, after ten to warm up."""


def main(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="CSV table of labelled test memes.")],
    out: Annotated[Path, typer.Option(help="Folder to work in.")],
) -> None:
    """Print one line for each figure."""
    folders = {name: out / name for name in ("fp32", "int8")}
    for name, folder in folders.items():
        if not folder.exists():
            export(ExportConfig(str(folder), int8=name == "int8"), run)
    python = _environment(out / "venv", folders["fp32"] / "requirements.txt")
    for name, folder in (*folders.items(), ("environment", out / "venv"), ("this", sys.prefix)):
        print(f"size of {name}: {_megabytes(Path(folder)):.0f} MB")
    exported = {
        name: _probabilities(python, folder, data, out / f"{name}.csv")
        for name, folder in folders.items()
    }
    for name, folder in folders.items():
        _print_times(python, folder, data, name)
    own = {
        "as the run embeds": _embed_and_score(run, run / "backbones", data),
        "embedding in fp32": _embed_and_score(run, _in_single(run, out / "backbones"), data),
    }
    cut = load_scorer(run, any_checkpoint(run / "backbones").stamp).threshold
    for name, found in exported.items():
        for how, wanted in own.items():
            difference = np.abs(found - wanted)
            print(
                f"{name} and the run, {how}: largest difference {difference.max():.2g}, median "
                f"{np.median(difference):.2g}, other decisions "
                f"{((found > cut) != (wanted > cut)).sum()} of {len(found)}"
            )
    _print_loss(run, data, exported, own["embedding in fp32"])


def _environment(folder: Path, requirements: Path) -> Path:
    """Create a virtual environment, unless it exists; return its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    return python


def _megabytes(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def _probabilities(python: Path, folder: Path, data: Path, scores: Path) -> np.ndarray:
    with scores.open("w") as file:
        subprocess.run([python, folder / "score.py", data], stdout=file, check=True)
    return pd.read_csv(scores)["probability"].to_numpy()


def _print_times(python: Path, folder: Path, data: Path, name: str) -> None:
    start = time.perf_counter()
    command = [python, folder / "score.py", "--text", "a caption"]
    subprocess.run(command, check=True, capture_output=True)
    shell = time.perf_counter() - start
    command = [python, "-c", RESIDENT, folder, data]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(f"{name}: one meme from the shell {shell:.1f} s; resident {done.stdout.strip()} ms")


def _in_single(run: Path, target: Path) -> Path:
    """Copy the models of a run, which embed in fp32 then."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(run / "backbones", target)
    for folder in space_folders(target):
        save_checkpoint(replace(read_checkpoint(folder), precision="fp32"), folder)
    return target


def _embed_and_score(run: Path, backbones: Path, data: Path) -> np.ndarray:
    spaces = load_spaces(backbones, "cpu")
    memes = spaces.load(read_new_memes(data, backbones), "blank")
    return load_scorer(run, spaces.checkpoint.stamp).score(spaces.embed(memes))


def _print_loss(run: Path, data: Path, exported: dict[str, np.ndarray], wanted: np.ndarray) -> None:
    table = pd.read_csv(data, dtype={"id": str})
    rows = read_features(run / "features.h5", embeddings=False).rows
    group_of = dict(zip(rows.id, rows.group, strict=True))
    group = np.array([group_of[name] for name in table["id"]])
    for name, found in exported.items():
        gain = paired_difference(table["label"].to_numpy(), found, wanted, group, seed=0)
        low, high = gain.interval
        print(
            f"{name}: AUROC on {len(table)} test memes less that of the run in fp32: "
            f"{gain.value:+.4f} [{low:+.4f}, {high:+.4f}]"
        )


if __name__ == "__main__":
    run_command(main)
