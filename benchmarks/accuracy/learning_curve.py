"""Learning curve: is fine-tuning worth it with fewer memes, or with wrong labels?

    python -m benchmarks.accuracy.learning_curve --data DIR --out FOLDER

Runs the pipeline on random subsets of the train and val rows, and once with labels turned around.
Compares held-out rows with their true labels: the joint model with a linear head on the pretrained
pair, and the ensemble with the one without fine-tuned spaces. The test split is not read. Finished
runs in FOLDER are reused.
"""

import shutil
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.command_line import run_command
from extract.config import ExtractConfig
from extract.run import extract
from extract.tables.read_memes import read_memes
from extract.tables.table_options import table_options
from features.hdf5_store import read_features
from heads.config import FitConfig
from heads.ensemble.build_ensemble import build_ensemble
from heads.fitting.saved_heads import read_probabilities, read_records
from heads.report.paired_differences import paired_difference
from heads.run import fit_heads
from runtime.progress import log


class Subset(NamedTuple):
    """A random part of a data set: at most `rows` memes, a share `turned` with a wrong label."""

    rows: int
    turned: float

    @property
    def name(self) -> str:
        """Name of the subset's run."""
        return f"{self.rows}_rows" + (f"_{self.turned:.0%}_turned" if self.turned else "")


def main(
    data: Annotated[Path, typer.Option(help="A data set; its test rows are left out.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs.")],
    sizes: Annotated[str, typer.Option(help="Numbers of memes.")] = "500,1000,2000,1000000",
    turned: Annotated[float, typer.Option(help="Share of labels to turn, with all rows.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed of subsets, folds and training.")] = 0,
) -> None:
    """Print held-out AUROC and its paired differences for each subset."""
    memes = read_memes(data, table_options(ExtractConfig()))[0].rows
    memes = memes[memes["split"] != "test"].reset_index(drop=True)
    subsets = [Subset(min(int(size), len(memes)), 0.0) for size in sizes.split(",")]
    if turned:
        subsets.append(Subset(len(memes), turned))
    table = Table(title=f"{data.name}: held-out AUROC")
    for column in ("rows", "turned", "joint", "linear", "difference", "ensemble", "difference"):
        table.add_column(column, justify="right")
    for subset in dict.fromkeys(subsets):
        run = out.resolve() / f"seed_{seed}" / subset.name
        true_label = run_subset(memes, subset, seed, run)
        table.add_row(str(subset.rows), f"{subset.turned:.0%}", *compare(run, true_label, seed))
    Console(width=110).print(table)


def run_subset(memes: pd.DataFrame, subset: Subset, seed: int, run: Path) -> np.ndarray:
    """Fine-tune and fit all heads on a subset; return the true label of each of its rows."""
    rng = np.random.default_rng([seed, 1])
    rows = np.sort(rng.permutation(len(memes))[: subset.rows])
    label = memes["label"].to_numpy()[rows]
    wrong = rng.random(len(rows)) < subset.turned
    if not (run / "metrics.json").is_file():
        log(f"== {run}")
        write_data(run / "data", memes.iloc[rows], np.where(wrong, 1 - label, label))
        extract(ExtractConfig(data=str(run / "data"), weights="bundled", seed=seed), run)
        fit_heads(FitConfig(), run, show=False)
    return label


def write_data(folder: Path, memes: pd.DataFrame, label: np.ndarray) -> None:
    """Write the memes as train.csv, copies of their pictures, and one test row."""
    (folder / "img").mkdir(parents=True, exist_ok=True)
    names = [f"{number}{Path(path).suffix}" for number, path in enumerate(memes["image"])]
    for path, name in zip(memes["image"], names, strict=True):
        shutil.copy(path, folder / "img" / name)
    csv = pd.DataFrame({"id": range(len(memes)), "img": names, "text": memes["caption"]})
    csv.head(1).assign(id="unused").to_csv(folder / "test.csv", index=False)
    csv.assign(label=label).to_csv(folder / "train.csv", index=False)


def compare(run: Path, true_label: np.ndarray, seed: int) -> list[str]:
    """Return the cells of one line of the table."""
    table = read_features(run / "features.h5", embeddings=False)
    records = read_records(run / "heads", table.attributes["stamp"])
    linear = read_probabilities(run / "heads" / "linear")
    kinds = [k["name"] for r in records if r.name == "linear" for k in r.kinds]
    members = [record for record in records if record.member]
    built = build_ensemble("best", None, members, table, run / "heads")
    joint = read_probabilities(run / "heads" / "joint").held_out
    pretrained = linear.kind_held_out[kinds.index("pretrained")]
    labelled = table.rows.labelled
    y, group = true_label, table.rows.group[labelled]

    def area(probability: np.ndarray) -> str:
        return f"{roc_auc_score(y, probability[labelled]):.3f}"

    def difference(one: np.ndarray, other: np.ndarray) -> str:
        found = paired_difference(y, one[labelled], other[labelled], group, seed)
        low, high = found.interval
        return f"{found.value:+.3f} [{low:+.3f}, {high:+.3f}]"

    ensemble, without = built.probabilities.held_out, built.without_fine_tuning.held_out
    of_models = [area(joint), area(pretrained), difference(joint, pretrained)]
    return [*of_models, area(ensemble), difference(ensemble, without)]


if __name__ == "__main__":
    run_command(main)
