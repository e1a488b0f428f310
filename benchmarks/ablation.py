"""What each part of memefuse is worth on a labelled data set, against the seed recipe.

    python -m benchmarks.ablation --data DIR --out FOLDER [--seeds 0,1,2]

Runs what FOLDER lacks, so that it can be broken off: for each seed the seed recipe and the whole
pipeline, then variants of it. Test labels are used for scoring only.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console

from benchmarks.paired_comparison import Scored, compare, mean_gain, show
from features.feature_table import FINE_TUNED, FeatureTable
from features.hdf5_store import join_spaces, read_features, writing_space
from heads.fitting.saved_heads import read_probabilities
from runtime.progress import log

ROOT = Path(__file__).parent.parent
RETRAINED = {
    "64 px": [],
    "96 px": ["--image-size", "96"],
    "128 px": ["--image-size", "128"],
    "linear fusion in stage one": ["--fusion", "linear"],
    "MLP fusion in stage one": ["--fusion", "mlp"],
}
"""Variants that are trained anew, with one fold and the first seed."""
SPACES = {
    "fine-tuned spaces only": [FINE_TUNED],
    "fine-tuned and pretrained": [FINE_TUNED, "pretrained"],
    "fine-tuned and lexical": [FINE_TUNED, "lexical"],
}
"""Variants that leave spaces of the first seed's run out."""


def main(
    data: Annotated[Path, typer.Option(help="A data set whose test labels are known.")],
    out: Annotated[Path, typer.Option(help="Folder for all runs.")],
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2",
    weights: Annotated[str, typer.Option(help="hub or bundled.")] = "bundled",
    retrain: Annotated[
        bool, typer.Option(help="Train variants of stage one too; hours on a CPU.")
    ] = True,
) -> None:
    """Print the comparison with the seed recipe and the ablation; write ablation.json."""
    out.mkdir(parents=True, exist_ok=True)
    numbers = [int(seed) for seed in seeds.split(",")]
    common = ["--data", str(data.resolve()), "--weights", weights]
    pairs = []
    for seed in numbers:
        name = f"seed_{seed}"
        run(out, name, [*common, "--seed", str(seed)])
        recipe(out / f"recipe_{seed}", [*common, "--seed", str(seed)])
        pairs.append((read_recipe(out / f"recipe_{seed}"), read_run(out, name)))
    first = f"seed_{numbers[0]}"
    rows = {"all of it": read_run(out, first), **heads_alone(out, first)}
    for words, kinds in SPACES.items():
        name = f"{first} {words}"
        leave_out(out, first, name, kinds)
        run(out, name, [])
        rows[words] = read_run(out, name)
    for words, flags in RETRAINED.items() if retrain else ():
        name = f"1 fold, {words}"
        run(out, name, [*common, "--seed", str(numbers[0]), "--folds", "1", *flags])
        rows[name] = read_run(out, name)
        rows[f"{name}, joint model"] = read_head(out, name, "joint")
    console = Console(width=80)
    compared = compare(pairs)
    show(console, compared, mean_gain(pairs), rows)
    report = {"paired": compared, "ablation": {name: one.figures() for name, one in rows.items()}}
    (out / "ablation.json").write_text(json.dumps(report, indent=2))


def run(out: Path, name: str, flags: list[str]) -> None:
    """The whole pipeline, unless `out` has its result; without flags, stage two alone."""
    solution = out / f"{name}.csv"
    if solution.is_file():
        return
    log(f"== {name}")
    commands = [["extract", *flags]] if flags else []
    commands += [["fit-heads"], ["submit", "--out", str(solution.resolve())]]
    for command in commands:
        words = [sys.executable, str(ROOT / "pipeline.py"), *command, "--run", name]
        subprocess.run(words, cwd=out, check=True, stdout=subprocess.DEVNULL)


def recipe(folder: Path, flags: list[str]) -> None:
    """The seed recipe with our picture size and no padding beyond the batch's longest caption."""
    if (folder / "seed_recipe.npz").is_file():
        return
    log(f"== {folder.name}")
    settings = ["--image-size", "64", "--pad", "longest", "--out", str(folder.resolve())]
    words = [sys.executable, "-m", "benchmarks.seed_recipe", *flags, *settings]
    subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def read_recipe(folder: Path) -> Scored:
    """What the seed recipe says of the test rows."""
    figures = json.loads((folder / "seed_recipe.json").read_text())
    with np.load(folder / "seed_recipe.npz", allow_pickle=False) as said:
        decision = said["probability"] > figures["threshold"]
        table = pd.DataFrame({"id": said["id"], "label": said["label"]})
        return Scored(table, said["probability"], decision, None, None)


def read_run(out: Path, name: str) -> Scored:
    """What a run's ensemble says of the test rows, and how it did on held-out ones."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    said = pd.read_csv(out / "runs" / name / "predictions.csv", dtype={"id": str})
    return _scored(out, name, metrics["ensemble"], said["probability"], said["label"] == 1)


def read_head(out: Path, name: str, head: str) -> Scored:
    """What one head of a run says."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    record = next(one for one in metrics["heads"] if one["name"] == head)
    final = read_probabilities(out / "runs" / name / "heads" / head).final
    probability = final[_table(out, name).rows.split == "test"]
    return _scored(out, name, record, probability, probability > record["threshold"]["value"])


def heads_alone(out: Path, name: str) -> dict[str, Scored]:
    """Each head of a run by itself."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    heads = [one["name"] for one in metrics["heads"]]
    return {f"{head} alone": read_head(out, name, head) for head in heads}


def leave_out(out: Path, source: str, name: str, kinds: list[str]) -> None:
    """A copy of a run's features.h5 with the spaces of some kinds only."""
    run_folder = out / "runs" / name
    if (run_folder / "features.h5").is_file():
        return
    table = read_features(out / "runs" / source / "features.h5")
    kept = [space for space in table.spaces if space.kind in kinds]
    spaces = {space.name: run_folder / "parts" / f"{space.name}.h5" for space in kept}
    every = np.arange(len(table))
    for space in kept:
        dims = space.image.shape[1], space.text.shape[1]
        joint = space.joint_logit is not None
        with writing_space(spaces[space.name], len(table), *dims, joint) as writer:
            for part in ("image", "text", "seen", "monitored", *(["joint_logit"] * joint)):
                writer.write(part, every, getattr(space, part))
            writer.describe(space.attributes)
    stamp = f"{table.attributes['stamp']} {' '.join(kinds)}"
    attributes = {**table.attributes, "stamp": stamp}
    # The report wants to know of the data too.
    facts = json.loads((out / "runs" / source / "data.json").read_text())
    (run_folder / "data.json").write_text(json.dumps({**facts, "stamp": stamp}))
    shutil.copy(out / "runs" / source / "memes.jsonl", run_folder)
    join_spaces(run_folder / "features.h5", table.rows, attributes, spaces)
    shutil.rmtree(run_folder / "parts")


def _table(out: Path, name: str) -> FeatureTable:
    return read_features(out / "runs" / name / "features.h5", embeddings=False)


def _scored(
    out: Path, name: str, record: dict, probability: np.ndarray, decision: np.ndarray
) -> Scored:
    rows = _table(out, name).rows
    test = rows.split == "test"
    table = pd.DataFrame({"id": rows.id[test], "label": rows.label[test]})
    held_out = record["scores"]["held_out"]
    return Scored(table, np.asarray(probability), np.asarray(decision), held_out, rows.group[test])


if __name__ == "__main__":
    typer.run(main)
