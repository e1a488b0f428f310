"""Ablation study of memefuse on a labelled data set, and comparison with the baseline.

    python -m benchmarks.ablation --data DIR --out FOLDER [--seeds 0,1,2]

For each seed, runs the baseline (`seed_recipe`) and the whole pipeline, then variants of the
pipeline. Finished runs in FOLDER are reused, so that an interrupted benchmark can be resumed. Test
labels are used for evaluation only.
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

from benchmarks.command_line import run_command
from benchmarks.paired_comparison import Scored, compare, mean_gain, print_tables
from features.feature_table import FINE_TUNED, FeatureTable
from features.hdf5_store import join_spaces, read_features
from features.space_files import writing_space
from heads.fitting.saved_heads import read_probabilities
from runtime.files.json_files import read_json, write_json
from runtime.progress import log

ROOT = Path(__file__).parent.parent
RETRAINED = {
    "64 px": [],
    "96 px": ["--image-size", "96"],
    "128 px": ["--image-size", "128"],
    "linear fusion in stage one": ["--fusion", "linear"],
    "MLP fusion in stage one": ["--fusion", "mlp"],
}
"""Variants in which stage one is trained again, with one fold and the first seed."""
SPACES = {
    "fine-tuned spaces only": [FINE_TUNED],
    "fine-tuned and pretrained": [FINE_TUNED, "pretrained"],
    "fine-tuned and lexical": [FINE_TUNED, "lexical"],
}
"""Variants of the first seed's run with some kinds of spaces only."""


def main(
    data: Annotated[Path, typer.Option(help="A data set whose test labels are known.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs.")],
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2",
    weights: Annotated[str, typer.Option(help="Backbone weights: hub or bundled.")] = "bundled",
    retrain: Annotated[
        bool, typer.Option(help="Train the variants of stage one too. Takes hours on a CPU.")
    ] = True,
) -> None:
    """Print the comparison with the baseline and the ablation; write ablation.json."""
    out.mkdir(parents=True, exist_ok=True)
    numbers = [int(seed) for seed in seeds.split(",")]
    common = ["--data", str(data.resolve()), "--weights", weights]
    pairs = []
    for seed in numbers:
        name = f"seed_{seed}"
        run_pipeline(out, name, [*common, "--seed", str(seed)])
        run_baseline(out / f"recipe_{seed}", [*common, "--seed", str(seed)])
        pairs.append((read_baseline(out / f"recipe_{seed}"), read_run(out, name)))
    first = f"seed_{numbers[0]}"
    variants = {"whole pipeline": read_run(out, first), **read_single_heads(out, first)}
    for variant, kinds in SPACES.items():
        name = f"{first} {variant}"
        copy_spaces(out, first, name, kinds)
        run_pipeline(out, name, [])
        variants[variant] = read_run(out, name)
    for variant, flags in RETRAINED.items() if retrain else ():
        name = f"1 fold, {variant}"
        run_pipeline(out, name, [*common, "--seed", str(numbers[0]), "--folds", "1", *flags])
        variants[name] = read_run(out, name)
        variants[f"{name}, joint model"] = read_head(out, name, "joint")
    console = Console(width=80)
    compared = compare(pairs)
    print_tables(console, compared, mean_gain(pairs), variants)
    ablation = {name: scored.figures() for name, scored in variants.items()}
    report = {"paired": compared, "ablation": ablation}
    (out / "ablation.json").write_text(json.dumps(report, indent=2))


def run_pipeline(out: Path, name: str, flags: list[str]) -> None:
    """Run the pipeline unless its solution is in `out`. Without flags, run stage two only."""
    solution = out / f"{name}.csv"
    if solution.is_file():
        return
    log(f"== {name}")
    commands = [["extract", *flags]] if flags else []
    commands += [["fit-heads"], ["submit", "--out", str(solution.resolve())]]
    for command in commands:
        args = [sys.executable, str(ROOT / "pipeline.py"), *command, "--run", name]
        subprocess.run(args, cwd=out, check=True, stdout=subprocess.DEVNULL)


def run_baseline(folder: Path, flags: list[str]) -> None:
    """Run the baseline with our picture size, padding captions to the longest in the batch."""
    if (folder / "seed_recipe.npz").is_file():
        return
    log(f"== {folder.name}")
    settings = ["--image-size", "64", "--pad", "longest", "--out", str(folder.resolve())]
    args = [sys.executable, "-m", "benchmarks.seed_recipe", *flags, *settings]
    subprocess.run(args, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def read_baseline(folder: Path) -> Scored:
    """Read the baseline's test predictions."""
    report = json.loads((folder / "seed_recipe.json").read_text())
    with np.load(folder / "seed_recipe.npz", allow_pickle=False) as predictions:
        probability = predictions["probability"]
        table = pd.DataFrame({"id": predictions["id"], "label": predictions["label"]})
        return Scored(table, probability, probability > report["threshold"], None, None)


def read_run(out: Path, name: str) -> Scored:
    """Read the test predictions and held-out scores of a run's ensemble."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    predictions = pd.read_csv(out / "runs" / name / "predictions.csv", dtype={"id": str})
    probability, decision = predictions["probability"], predictions["label"] == 1
    return _scored(out, name, metrics["ensemble"], probability, decision)


def read_head(out: Path, name: str, head: str) -> Scored:
    """Read the test predictions and held-out scores of one head of a run."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    record = next(record for record in metrics["heads"] if record["name"] == head)
    final = read_probabilities(out / "runs" / name / "heads" / head).final
    probability = final[_table(out, name).rows.split == "test"]
    return _scored(out, name, record, probability, probability > record["threshold"]["value"])


def read_single_heads(out: Path, name: str) -> dict[str, Scored]:
    """Read the predictions of each head of a run."""
    metrics = json.loads((out / "runs" / name / "metrics.json").read_text())
    heads = [record["name"] for record in metrics["heads"]]
    return {f"head {head}": read_head(out, name, head) for head in heads}


def copy_spaces(out: Path, source: str, name: str, kinds: list[str]) -> None:
    """Copy a run's features.h5 with the spaces of these kinds only, and the files reports need."""
    run_folder = out / "runs" / name
    if (run_folder / "features.h5").is_file():
        return
    table = read_features(out / "runs" / source / "features.h5")
    copied = [space for space in table.spaces if space.kind in kinds]
    spaces = {space.name: run_folder / "parts" / f"{space.name}.h5" for space in copied}
    all_rows = np.arange(len(table))
    for space in copied:
        dims = space.image.shape[1], space.text.shape[1]
        joint = space.joint_logit is not None
        with writing_space(spaces[space.name], len(table), *dims, joint) as writer:
            for part in ("image", "text", "seen", "monitored", *(["joint_logit"] * joint)):
                writer.write(part, all_rows, getattr(space, part))
            writer.set_attributes(space.attributes)
    stamp = f"{table.attributes['stamp']} {' '.join(kinds)}"
    attributes = {**table.attributes, "stamp": stamp}
    # What submit and the report read besides.
    data = read_json(out / "runs" / source / "data.json", "extract")
    write_json(run_folder / "data.json", {**data, "stamp": stamp})
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
    run_command(main)
