"""Print the tables of heads: their metrics on held-out and test rows, with intervals."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from runtime.console import results_console

WITHOUT_FINE_TUNING = "no fine-tuning"
"""Name of the ensemble of the label-free spaces alone, as narrow as the names of heads."""


def print_results_tables(metrics: dict[str, Any]) -> None:
    """Print metrics on held-out rows, and on test rows if their labels are known, to stdout."""
    console = results_console()
    for rows, title in (
        ("held_out", "{n} held-out rows, seen by no backbone and by no head that scores them"),
        ("test", "{n} test rows, labels used for scoring only"),
    ):
        scored = [line for line in _table_rows(metrics) if line["scores"][rows]]
        if scored:
            count = scored[0]["scores"][rows]["rows"]
            console.print(_table(title.format(n=count), scored, rows, metrics["metric"]))
    console.print(
        "± is half of the 95 % interval, resampled by group of near-duplicates. "
        "fit: training rows of one fit.",
        style="dim",
    )
    if metrics["ensemble"] and (prior := metrics["ensemble"]["prior"]) is not None:
        console.print(
            f"On held-out rows, ensembles are scored as if {prior:.3g} of the memes were hateful "
            "(--prior), heads at the share of these rows.",
            style="dim",
        )


def _table_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    heads = [
        {
            "name": head["name"],
            "fit": max(kind["fitted_rows"] for kind in head["kinds"]),
            **{key: head[key] for key in ("scores", "threshold", "seconds")},
        }
        for head in metrics["heads"]
    ]
    if metrics["ensemble"]:
        kind, without = (metrics["ensemble"][key] for key in ("kind", "without_fine_tuning"))
        if without:
            heads.append({**without, "name": WITHOUT_FINE_TUNING, "fit": 0, "seconds": 0.0})
        heads.append(
            {**metrics["ensemble"], "name": f"ensemble ({kind})", "fit": 0, "seconds": 0.0}
        )
    return heads


def _table(title: str, lines: list[dict[str, Any]], rows: str, metric: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    short = {"accuracy": "acc", "balanced_accuracy": "bal", "f1": "f1"}[metric]
    table.add_column("head", no_wrap=True)
    for name in ("fit", "AUROC", "AP", f"{short}@.5", f"{short}@t", "t", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        scores = line["scores"][rows]
        table.add_row(
            line["name"],
            str(line["fit"] or "-"),
            _format(scores["auroc"]),
            _format(scores["average_precision"], with_interval=False),
            _format(scores[f"{metric}_default"], with_interval=False),
            _format(scores[f"{metric}_tuned"]),
            f"{line['threshold']['value']:.2f}",
            f"{line['seconds']:.1f}",
            style="bold" if line["name"].startswith("ensemble") else None,
        )
    return table


def _format(score: dict[str, Any] | None, with_interval: bool = True) -> str:
    if score is None:
        return "-"
    low, high = score["interval"]
    value = f"{score['value']:.3f}"
    return f"{value}±{(high - low) / 2:.3f}".replace("±0", "±") if with_interval else value
