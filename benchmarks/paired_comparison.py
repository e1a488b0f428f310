"""Compare two programs on the same test rows: metrics, paired differences, bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from heads.evaluation.bootstrap import percentile_interval, resampled


@dataclass(frozen=True)
class Scored:
    """Predictions of a program for the test rows."""

    table: pd.DataFrame
    """Columns id, label."""
    probability: np.ndarray
    decision: np.ndarray
    held_out: dict[str, Any] | None
    """The program's held-out metrics, as `score_with_intervals` returns them."""
    group: np.ndarray | None
    """Near-duplicate group of each row."""

    def auroc(self, weight: np.ndarray | None = None) -> float:
        """AUROC on the test rows."""
        return float(roc_auc_score(self.table["label"], self.probability, sample_weight=weight))

    def accuracy(self, weight: np.ndarray | None = None) -> float:
        """Accuracy on the test rows at the program's threshold."""
        correct = self.decision == (self.table["label"] == 1).to_numpy()
        return float(np.average(correct, weights=weight))

    def figures(self) -> dict[str, float | None]:
        """Test and held-out metrics."""
        held_out = self.held_out or {}
        return {
            "test_auroc": self.auroc(),
            "test_accuracy": self.accuracy(),
            "held_out_auroc": held_out["auroc"]["value"] if held_out else None,
            "held_out_accuracy": held_out["accuracy_tuned"]["value"] if held_out else None,
            "held_out_rows": held_out.get("rows"),
        }


def compare(pairs: list[tuple[Scored, Scored]]) -> list[dict[str, Any]]:
    """Metrics and paired differences of each pair (reference, ours)."""
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
    """Mean difference over all pairs, with the same bootstrap resamples for all pairs."""
    return {metric: gain(pairs, metric) for metric in ("auroc", "accuracy")}


def gain(pairs: list[tuple[Scored, Scored]], metric: str) -> dict[str, Any]:
    """Mean of ours minus reference, with its 95 % bootstrap interval by group of test rows."""
    for scored in (scored for pair in pairs for scored in pair):
        if scored.table["id"].tolist() != pairs[0][1].table["id"].tolist():
            raise ValueError("the programs did not predict the same test rows in the same order")
    label = pairs[0][1].table["label"].to_numpy()

    def difference(weight: np.ndarray | None) -> float:
        gains = [getattr(o, metric)(weight) - getattr(r, metric)(weight) for r, o in pairs]
        return float(np.mean(gains))

    def differences(weights: np.ndarray) -> np.ndarray:
        both = (weights @ label > 0) & (weights @ (1 - label) > 0)
        return np.array([difference(weight) for weight in weights[both]])

    interval = percentile_interval(resampled(differences, pairs[0][1].group, seed=0))
    return {"value": difference(None), "interval": interval}


def print_tables(
    console: Console,
    compared: list[dict[str, Any]],
    mean: dict[str, dict[str, Any]],
    ablation: dict[str, Scored],
) -> None:
    """Print the comparison with the baseline by seed, and the ablation."""
    table = Table(title="baseline and ensemble on the same test rows, by seed")
    for column in ("baseline\nAUROC", "ours", "gain", "baseline\naccuracy", "ours", "gain"):
        table.add_column(column, justify="right")
    for pair in compared:
        cells = []
        for metric in ("auroc", "accuracy"):
            cells += [f"{pair[who][f'test_{metric}']:.3f}" for who in ("reference", "ours")]
            cells.append(_signed(pair[f"{metric}_gain"]))
        table.add_row(*cells)
    table.add_row("mean", "", _signed(mean["auroc"]), "", "", _signed(mean["accuracy"]))
    console.print(table)
    table = Table(title="ablation")
    for column in ("variant", "held-out\nAUROC", "acc", "test\nAUROC", "acc"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, scored in ablation.items():
        figures = scored.figures()
        order = ("held_out_auroc", "held_out_accuracy", "test_auroc", "test_accuracy")
        table.add_row(name, *(f"{figures[key]:.3f}" for key in order))
    console.print(table)


def _signed(gain: dict[str, Any]) -> str:
    low, high = gain["interval"]
    return f"{gain['value']:+.3f} [{low:+.3f}, {high:+.3f}]"
