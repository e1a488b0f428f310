"""The baseline ("seed recipe"): a complete solution with standard methods only.

Both pretrained backbones and one linear layer on their concatenated embeddings are fine-tuned
jointly on train. Learning rate schedule, epoch and threshold are chosen on val.

    python -m benchmarks.seed_recipe --data DIR --out DIR
"""

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import typer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from benchmarks.command_line import run_command
from benchmarks.seed_model import AMP, DEVICE, BaselineModel, MemeDataset, fit, make_loader, predict
from extract.tables.meme_table import MemeTable
from extract.tables.read_memes import read_memes
from extract.towers.pretrained_weights import load_backbones
from runtime.errors import UserError
from runtime.files.atomic_files import write_text
from runtime.files.json_files import write_json

THRESHOLDS = np.linspace(0.01, 0.99, 99)
VAL_SHARE = 0.2
"""Share of train that is used as val if the data set has none."""


@dataclass(frozen=True)
class Settings:
    """Command-line flags."""

    data: Annotated[Path, typer.Option(help="Folder in the Kaggle layout.")]
    out: Annotated[Path, typer.Option(help="Folder for solution.csv, seed_recipe.json and .npz.")]
    weights: Annotated[Literal["hub", "bundled"], typer.Option(help="Weights, as for extract.")] = (
        "hub"
    )
    pooling: Annotated[Literal["mean", "first"], typer.Option(help="Pooling of tokens.")] = "mean"
    image_size: Annotated[int, typer.Option(help="Side of the pictures, in pixels.", min=32)] = 224
    max_tokens: Annotated[int, typer.Option(help="Longest caption, in tokens.", min=4)] = 128
    pad: Annotated[
        Literal["fixed", "longest"],
        typer.Option(help="Pad to --max-tokens, or to the longest in the batch."),
    ] = "fixed"
    epochs: Annotated[int, typer.Option(help="Epochs; the best one is used.", min=1)] = 6
    batch_size: Annotated[int, typer.Option(help="Memes per step.", min=2)] = 32
    lr: Annotated[float, typer.Option(help="Learning rate of the backbones.", min=0.0)] = 5e-5
    lr_head: Annotated[float, typer.Option(help="Learning rate of the head.", min=0.0)] = 1e-3
    workers: Annotated[int, typer.Option(help="DataLoader processes.", min=0)] = 0
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 0


@dataclass(frozen=True)
class Outcome:
    """Report of a run, and its probabilities float64 (N,) of the val and test rows."""

    report: dict[str, Any]
    val: np.ndarray
    test: np.ndarray


def read_parts(data: Path, seed: int) -> tuple[MemeTable, dict[str, pd.DataFrame]]:
    """Read the table and its rows by split. Without val, a stratified fifth of train is used."""
    table, problems, _ = read_memes(data)
    if problems:
        raise UserError("\n".join(["invalid rows in the data:", *map(str, problems)]))
    parts = {name: table.rows[table.rows["split"] == name] for name in ("train", "val", "test")}
    if parts["val"].empty:
        train = parts["train"]
        parts["train"], parts["val"] = train_test_split(
            train, test_size=VAL_SHARE, stratify=train["label"], random_state=seed
        )
    return table, parts


def fine_tune(parts: dict[str, pd.DataFrame], settings: Settings) -> Outcome:
    """Train on train, select on val, and predict val and test."""
    torch.manual_seed(settings.seed)
    backbones = load_backbones(settings.weights, None, None, settings.pooling)
    model = BaselineModel(backbones).to(DEVICE)
    loaders = {}
    for name, rows in parts.items():
        memes = MemeDataset(rows, backbones, settings.image_size, settings.max_tokens, settings.pad)
        loaders[name] = make_loader(memes, settings.batch_size, settings.workers, name == "train")
    rates = settings.lr, settings.lr_head
    history = fit(model, loaders["train"], loaders["val"], settings.epochs, *rates)
    train_seconds = sum(epoch["train_seconds"] for epoch in history)
    seconds = train_seconds + sum(epoch["val_seconds"] for epoch in history)
    report = {
        "backbones": [backbones.image_origin, backbones.text_origin],
        "device": torch.cuda.get_device_name() if AMP else "cpu",
        "threads": torch.get_num_threads(),
        "seconds_per_epoch": seconds / len(history),
        "memes_per_second": len(parts["train"]) * len(history) / train_seconds,
        "history": history,
    }
    return Outcome(report, *(predict(model, loaders[n]).sigmoid().numpy() for n in ("val", "test")))


def sweep_threshold(label: np.ndarray, probability: np.ndarray) -> float:
    """Return the threshold with the best accuracy; ties go to the one nearest 0.5."""
    accuracy = [np.mean((probability > t) == label) for t in THRESHOLDS]
    best = THRESHOLDS[np.isclose(accuracy, max(accuracy))]
    return float(best[np.argmin(np.abs(best - 0.5))])


def score(label: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, Any] | None:
    """AUROC, accuracy at 0.5 and at `threshold`; None unless labels of both classes are known."""
    known = label >= 0
    label, probability = label[known], probability[known]
    if len(np.unique(label)) < 2:
        return None
    return {
        "rows": len(label),
        "auroc": float(roc_auc_score(label, probability)),
        "accuracy_at_half": float(np.mean((probability > 0.5) == label)),
        "accuracy_at_swept": float(np.mean((probability > threshold) == label)),
    }


def write_solution(table: MemeTable, decision: np.ndarray, path: Path) -> None:
    """Write the requested ids in the requested order with their predicted labels."""
    test = table.rows[table.rows["split"] == "test"]
    solution = pd.DataFrame({table.id_column: test["id"], table.label_column: decision.astype(int)})
    requested = test["order"][test["order"] >= 0].sort_values().index
    write_text(path, solution.loc[requested].to_csv(index=False, lineterminator="\n"))


def main(**flags: Any) -> None:  # noqa: ANN401
    """Train the baseline on train, evaluate it on val and test, and write solution.csv."""
    settings = Settings(**flags)
    table, parts = read_parts(settings.data, settings.seed)
    outcome = fine_tune(parts, settings)
    label = {name: rows["label"].to_numpy() for name, rows in parts.items()}
    threshold = sweep_threshold(label["val"], outcome.val)
    report = {
        "settings": {**asdict(settings), "data": str(settings.data), "out": str(settings.out)},
        "seed": settings.seed,
        "threshold": threshold,
        "val": score(label["val"], outcome.val, threshold),
        "test": score(label["test"], outcome.test, threshold),
        **outcome.report,
    }
    write_solution(table, outcome.test > threshold, settings.out / "solution.csv")
    write_json(settings.out / "seed_recipe.json", report)
    ids = parts["test"]["id"].to_numpy(dtype=str)
    rows = {"id": ids, "label": label["test"], "probability": outcome.test}
    np.savez(settings.out / "seed_recipe.npz", **rows)
    for name in ("val", "test"):
        if report[name]:
            print(name, *(f"{metric} {value:.4g}" for metric, value in report[name].items()))
    print(settings.out / "solution.csv")


# typer derives one flag from each field of Settings.
main.__signature__ = inspect.signature(Settings)
main.__annotations__ = Settings.__annotations__

if __name__ == "__main__":
    run_command(main)
