"""How well the ranking of label_issues.csv finds labels that are known to be doubtful or wrong.

python -m benchmarks.accuracy.label_noise runs/NAME ...

Two questions for each finished run, both on its held-out rows, ranked by the held-out probability
of their label, the lowest first. The run is only read; no test label is used.

conflicts: near-duplicates with different labels. In a group with a majority, the rows with the
rarer label are sought; in a group with as many rows of each label, one label is presumably wrong,
and which one is unknown: all its rows are sought.

turned: labels turned at random, and the linear head on the pretrained space fitted anew in parts
without near-duplicates in common. There the wrong labels are known, apart from those before.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run_command
from features.feature_table import FeatureTable
from features.hdf5_store import read_features
from features.stratified_group_parts import stratified_group_parts
from heads.decision.prior_shift import shift_prior
from heads.ensemble.saved_ensemble import read_ensemble, read_ensemble_probabilities
from heads.evaluation.bootstrap import percentile_interval, resampled
from heads.evaluation.label_issues import find_label_issues, self_confidence
from heads.evaluation.metrics import auroc
from heads.fitting.pca_projection import fit_projection
from heads.linear import LinearHead
from runtime.files.json_files import read_json
from runtime.progress import log

FIRST = (20, 50, 100)
"""Numbers of rows at the top of the ranking that are looked at."""

TURNED = 0.05
"""Share of labels that are turned."""

SEEDS = range(5)

PARTS = 5

COLUMNS = ("rows sought", "rows", "base", "AUROC", *(f"first {n}" for n in FIRST), "in issues")


def main(runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")]) -> None:
    """Tabulate how high rows with conflicting and with turned labels are ranked."""
    for run in runs:
        table = Table(title=str(run), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, name in enumerate(COLUMNS):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        features = read_features(run / "features.h5")
        for line in [*conflict_lines(run, features), turned_line(features)]:
            table.add_row(*line)
        console = Console()
        (console if console.is_terminal else Console(width=120)).print(table)
    log(
        "base = share of the rows sought among all held-out rows; AUROC with its 95 % interval, "
        "resampled by group of near-duplicates; first 20 = share of rows sought among the 20 rows "
        "with the least probable label; in issues = share of the rows sought that label_issues.csv "
        f"would list. The line of turned labels is the mean of {len(SEEDS)} draws, with the lowest "
        "and the highest."
    )


def conflict_lines(run: Path, features: FeatureTable) -> list[list[str]]:
    """One line for each kind of conflict: rows in all of them, then each kind by itself."""
    rows, ensemble = features.rows, read_ensemble(run / "heads")
    held_out = read_ensemble_probabilities(run / "heads").held_out
    if ensemble.prior is not None:
        held_out = shift_prior(held_out, ensemble.prior, ensemble.trained_prior)
    known = np.flatnonzero(~np.isnan(held_out))
    y, group, probability = rows.label[known], rows.group[known], held_out[known]
    rarer, tied = conflicts(y, group)
    listed = {
        one for ids in read_json(run / "data.json", "extract")["contradictions"] for one in ids
    }
    same = np.isin(rows.id[known].astype(str), sorted(listed))
    sought = {
        "rarer label of a group with a majority": rarer,
        "any label of a group without one": tied,
        "either of the two": rarer | tied,
        "same picture and caption (data.json)": same,
    }
    lines = [
        line(name, y, probability, group, found) for name, found in sought.items() if found.any()
    ]
    return [*lines, within_groups_line(y, probability, group, rarer)]


def conflicts(y: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two masks (N,): the rarer label of a group, and all rows of a group without one."""
    ones, size = np.bincount(group, weights=y)[group], np.bincount(group)[group]
    alike = np.where(y == 1, ones, size - ones)
    conflicting = (ones > 0) & (ones < size)
    return conflicting & (2 * alike < size), conflicting & (2 * alike == size)


def line(
    name: str, y: np.ndarray, probability: np.ndarray, group: np.ndarray, sought: np.ndarray
) -> list[str]:
    """Cells of a table's line, for the rows sought, bool (N,)."""
    own = self_confidence(y, probability)
    metric = auroc(sought.astype(int), -own)
    low, high = percentile_interval(resampled(metric, group, seed=0))
    value = metric(np.ones((1, len(y))))[0]
    first = [f"{share:.2f}" for share in first_shares(own, sought)]
    issues = np.isin(np.flatnonzero(sought), find_label_issues(y, probability)).mean()
    figures = f"{sought.mean():.3f}", f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return [name, str(sought.sum()), *figures, *first, f"{issues:.2f}"]


def first_shares(own: np.ndarray, sought: np.ndarray) -> list[float]:
    """Return the share of rows sought among the first rows of the ranking, for each of FIRST."""
    order = np.argsort(own, kind="stable")
    return [float(sought[order[:number]].mean()) for number in FIRST]


def within_groups_line(
    y: np.ndarray, probability: np.ndarray, group: np.ndarray, rarer: np.ndarray
) -> list[str]:
    """AUROC of the rarer label against the others of the same group: which one is doubted more."""
    own = self_confidence(y, probability)
    found = [
        float((own[rare] < own[other]).mean() + (own[rare] == own[other]).mean() / 2)
        for rare in np.flatnonzero(rarer)
        for other in [(group == group[rare]) & (y != y[rare])]
    ]
    of_rows = np.zeros(len(y))
    of_rows[rarer] = found

    def mean(weight: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (weight * of_rows).sum(axis=1) / (weight * rarer).sum(axis=1)

    low, high = percentile_interval(resampled(mean, group, seed=0))
    value = f"{np.mean(found):.3f} [{low:.3f}, {high:.3f}]" if found else "-"
    name = "rarer label, among its group only"
    return [name, str(rarer.sum()), "-", value, *["-"] * (len(FIRST) + 1)]


def turned_line(features: FeatureTable) -> list[str]:
    """Turn labels at random, fit the linear head anew, and rank all labels."""
    rows = features.rows
    labelled = np.flatnonzero(rows.labelled)
    space = next((one for one in features.spaces if one.name == "pretrained"), features.spaces[0])
    image, text = space.image[labelled], space.text[labelled]
    projection = fit_projection([(image, text)])
    X, width = projection.apply(image, text), projection.image_width
    found = []
    for seed in SEEDS:
        turned = np.random.default_rng(seed).random(len(labelled)) < TURNED
        y = np.where(turned, 1 - rows.label[labelled], rows.label[labelled]).astype(np.int64)
        probability = held_out_probabilities(X, y, rows.group[labelled], width)
        own = self_confidence(y, probability)
        value = auroc(turned.astype(int), -own)(np.ones((1, len(y))))[0]
        issues = np.isin(np.flatnonzero(turned), find_label_issues(y, probability)).mean()
        found.append([turned.mean(), value, *first_shares(own, turned), issues])
    mean, low, high = (f(np.array(found), axis=0) for f in (np.mean, np.min, np.max))
    number = f"{mean[0] * len(labelled):.0f}"
    area = f"{mean[1]:.3f} ({low[1]:.3f}-{high[1]:.3f})"
    return [
        "turned at random; linear head alone", number, f"{mean[0]:.3f}", area,
        *(f"{share:.2f}" for share in mean[2:]),
    ]  # fmt: skip


def held_out_probabilities(
    X: np.ndarray, y: np.ndarray, group: np.ndarray, image_width: int
) -> np.ndarray:
    """Predict each part of the rows with a linear head fitted on the others: float64 (N,)."""
    part = stratified_group_parts(y, group, PARTS, random_state=0)
    probability = np.empty(len(y))
    for one in range(PARTS):
        head = LinearHead(image_width).fit(X[part != one], y[part != one])
        probability[part == one] = head.predict_proba(X[part == one])[:, 1]
    return probability


if __name__ == "__main__":
    run_command(main)
