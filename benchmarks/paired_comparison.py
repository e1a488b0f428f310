"""Figures of two programs on the same test rows, and their differences with intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from heads.evaluation.bootstrap import interval, resampling_weights


@dataclass(frozen=True)
class Scored:
    """What a program says of the test rows."""

    table: pd.DataFrame
    """id, label."""
    probability: np.ndarray
    decision: np.ndarray
    held_out: dict[str, Any] | None
    """Its own estimate, as `heads.metrics.score` gives it."""
    group: np.ndarray | None
    """Near-duplicate groups of the rows."""

    def auroc(self, weight: np.ndarray | None = None) -> float:
        """On the test rows."""
        return float(roc_auc_score(self.table["label"], self.probability, sample_weight=weight))

    def accuracy(self, weight: np.ndarray | None = None) -> float:
        """On the test rows, at the program's own threshold."""
        right = self.decision == (self.table["label"] == 1).to_numpy()
        return float(np.average(right, weights=weight))

    def figures(self) -> dict[str, float | None]:
        """Test and held-out figures."""
        own = self.held_out or {}
        return {
            "test_auroc": self.auroc(),
            "test_accuracy": self.accuracy(),
            "held_out_auroc": own["auroc"]["value"] if own else None,
            "held_out_accuracy": own["accuracy_tuned"]["value"] if own else None,
            "held_out_rows": own.get("rows"),
        }


def compare(pairs: list[tuple[Scored, Scored]]) -> list[dict[str, Any]]:
    """Of each pair (reference, ours): figures of both and the paired differences."""
    return [
        {
            "reference": reference.figures(),
            "ours": ours.figures(),
            "auroc_gain": gain([(reference, ours)], "auroc"),
            "accuracy_gain": gain([(reference, ours)], "accuracy"),
        }
        for reference, ours in pairs
    ]


def mean_gain(pairs: list[tuple[Scored, Scored]]) -> dict[str, dict[str, Any]]:
    """The mean difference over all pairs, on resamples of the test rows that all pairs share."""
    return {figure: gain(pairs, figure) for figure in ("auroc", "accuracy")}


def gain(pairs: list[tuple[Scored, Scored]], figure: str) -> dict[str, Any]:
    """Mean of ours less reference, and its 95 % interval over resampled groups of test rows."""
    for scored in (scored for pair in pairs for scored in pair):
        if scored.table["id"].tolist() != pairs[0][1].table["id"].tolist():
            raise ValueError("the programs scored other rows, or in another order")
    label = pairs[0][1].table["label"].to_numpy()
    weights = resampling_weights(pairs[0][1].group, seed=0)
    both = (weights @ label > 0) & (weights @ (1 - label) > 0)

    def difference(weight: np.ndarray | None) -> float:
        one = [getattr(o, figure)(weight) - getattr(r, figure)(weight) for r, o in pairs]
        return float(np.mean(one))

    spread = interval(np.array([difference(weight) for weight in weights[both]]))
    return {"value": difference(None), "interval": spread}


def show(
    console: Console,
    compared: list[dict[str, Any]],
    mean: dict[str, dict[str, Any]],
    ablation: dict[str, Scored],
) -> None:
    """Print both tables."""
    table = Table(title="seed recipe and ensemble on the same test rows, seed by seed")
    for column in ("AUROC", "", "gain", "accuracy", "", "gain"):
        table.add_column(column, justify="right")
    for one in compared:
        cells = []
        for figure in ("auroc", "accuracy"):
            cells += [f"{one[who][f'test_{figure}']:.3f}" for who in ("reference", "ours")]
            cells.append(_signed(one[f"{figure}_gain"]))
        table.add_row(*cells)
    table.add_row("mean", "", _signed(mean["auroc"]), "", "", _signed(mean["accuracy"]))
    console.print(table)
    table = Table(title="what each part is worth")
    for column in ("variant", "held-out\nAUROC", "acc", "test\nAUROC", "acc"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, scored in ablation.items():
        figures = scored.figures()
        order = ("held_out_auroc", "held_out_accuracy", "test_auroc", "test_accuracy")
        table.add_row(name, *(f"{figures[key]:.3f}" for key in order))
    console.print(table)


def _signed(one: dict[str, Any]) -> str:
    low, high = one["interval"]
    return f"{one['value']:+.3f} [{low:+.3f}, {high:+.3f}]"
