"""Print the operating points and the review band as tables, with their sentences."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from heads.decision.review_band import A_DAY
from runtime.console import results_console

RATES = ("flagged", "precision", "recall", "fpr")


def print_operating_points(points: list[dict[str, Any]], band: dict[str, Any] | None) -> None:
    """Print what `EnsembleRecord` holds of them to stdout; nothing without a target."""
    if not points:
        return
    console = results_console()
    table = _table("Operating points on held-out rows", ("target", "t", *RATES))
    for point in points:
        known = point["threshold"] is not None
        threshold = f"{point['threshold']:.3f}" if known else "-"
        rates = [_format(point["rates"][name]) if known else "-" for name in RATES]
        table.add_row(point["target"], threshold, *rates)
    _print(console, table, *(point["sentence"] for point in points))
    if band is None:
        return
    zones = _table(
        f"Review band: {band['act_target']} above, {band['pass_target']} below",
        ("zone", "memes", "of hateful", "of others", f"of {A_DAY:,}"),
    )
    for zone in band["zones"]:
        shares = [_format(zone[name]) for name in ("memes", "hateful", "harmless")]
        zones.add_row(zone["name"], *shares, f"{zone['a_day'][0]:,}")
    _print(console, zones, band["sentence"])


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(columns[0], no_wrap=True)
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _print(console: Console, table: Table, *sentences: str) -> None:
    console.print(table)
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False)


def _format(rate: dict[str, Any] | None) -> str:
    if rate is None:
        return "-"
    low, high = rate["interval"]
    return f"{rate['value']:.3f}±{(high - low) / 2:.3f}".replace("±0", "±")
