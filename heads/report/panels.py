"""Plots of the contenders side by side, of the training, and of where the memes lie."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from features.feature_table import FINE_TUNED, Space
from heads.ensemble.combining import combine
from heads.evaluation.bootstrap import interval
from heads.evaluation.metrics import auroc
from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import count, plural
from heads.report.svg import INK, SERIES, Canvas, Plot, dots, drawing

MOST_DOTS = 4000

LAYERS = 16
"""Classes are drawn in turns, so that neither hides the other."""


def draw_contenders(run: FinishedRun) -> Plot:
    """AUROC of everything there is, with its interval, best at the top."""
    order = sorted(run.contenders.values(), key=lambda one: one.auroc()["value"])
    members = {name for name, weight in run.ensemble.weights.items() if weight > 0}
    with drawing("contenders", 0.9 + 0.27 * len(order)) as canvas:
        axes = canvas.axes
        for place, one in enumerate(order):
            colour = INK["ensemble"] if one.name == ENSEMBLE else INK["muted"]
            filled = colour if one.name == ENSEMBLE or one.name in members else INK["paper"]
            for rows, shift, mark in (("held_out", 0.0, "o"), ("test", -0.3, "d")):
                found = one.auroc(rows)
                if found is None:
                    continue
                faint = 1.0 if rows == "held_out" else 0.55
                axes.plot(found["interval"], [place + shift] * 2, color=colour, alpha=faint)
                axes.plot(
                    found["value"], place + shift, mark, color=colour, mfc=filled, ms=5, alpha=faint
                )
        axes.axvline(0.5, color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        axes.set_yticks(range(len(order)), [one.name for one in order])
        axes.tick_params(axis="y", length=0, labelcolor=INK["ink"])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="AUROC", ylim=(-0.7, len(order) - 0.4))
        svg = canvas.svg("AUROC of the ensemble and of every head, with intervals")
    test = len(run.test)
    also = f"; diamonds: {plural(test, 'test row')}" if run.ensemble.scores["test"] else ""
    return Plot(
        "Everything that was tried",
        svg,
        f"Circles: {plural(len(run.held_out), 'held-out row')}{also}. Bars: 95 % intervals. "
        "Filled: the ensemble and its members. Dotted: chance.",
    )


def draw_gains(run: FinishedRun) -> Plot | None:
    """What each head brings to the ensemble; None if there is but one."""
    gains = _gains(run)
    if not gains:
        return None
    order = sorted(gains, key=lambda name: gains[name][0])
    with drawing("gains", 0.8 + 0.3 * len(order)) as canvas:
        axes = canvas.axes
        for place, name in enumerate(order):
            value, spread = gains[name]
            kept = run.ensemble.weights[name] > 0
            colour = INK["ensemble"] if kept else INK["muted"]
            axes.plot(spread, [place] * 2, color=colour)
            axes.plot(value, place, "o", color=colour, mfc=colour if kept else INK["paper"], ms=5)
        axes.axvline(0, color=INK["muted"], lw=0.8)
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(axis="y", length=0, labelcolor=INK["ink"])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.locator_params(axis="x", nbins=6)
        axes.set(xlabel="AUROC with it less AUROC without it", ylim=(-0.6, len(order) - 0.4))
        svg = canvas.svg("What each head adds to the ensemble's AUROC")
    return Plot(
        "What each head brings",
        svg,
        f"The ensemble on {plural(len(run.held_out), 'held-out row')}, with and without a head; "
        "bars: 95 % of resamples. Filled: members. Hollow: dropped, put in here with a mean "
        "weight.",
    )


def _gains(run: FinishedRun) -> dict[str, tuple[float, list[float]]]:
    """AUROC gain of each head and its interval. Calibration is left out: it keeps ranks."""
    places, weights = run.held_out, np.array([*run.ensemble.weights.values()])
    y, resamples = run.table.rows.label[places], run.resamples(places)
    offered = [run.contenders[name] for name in run.ensemble.weights]
    held_out = np.stack([one.held_out[places] for one in offered])
    thresholds = np.stack([one.row_threshold[places] for one in offered])

    def areas(weights: np.ndarray) -> np.ndarray:
        shares = weights / weights.sum()
        score = combine(run.ensemble.kind, held_out, shares, held_out, thresholds)
        return auroc(y, score)(np.vstack([np.ones(len(y)), resamples]))

    gains = {}
    for place, one in enumerate(offered):
        present, absent = weights.copy(), weights.copy()
        absent[place] = 0
        present[place] = weights[place] or weights[weights > 0].mean()
        if absent.any():
            gap = areas(present) - areas(absent)
            gains[one.name] = (float(gap[0]), interval(gap[1:]))
    return gains


def draw_training(run: FinishedRun) -> list[Plot]:
    """Loss and accuracy of each fine-tuned pair of backbones; nothing if there is none."""
    spaces = [s for s in run.table.spaces if s.kind == FINE_TUNED and s.attributes.get("history")]
    if not spaces:
        return []
    counts = sorted({int(space.monitored.sum()) for space in spaces})
    rows = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
    return [
        Plot(
            "Training of the backbones: loss",
            _training("loss", "log loss", spaces),
            f"One pair of backbones a fold. Lines: the {rows} rows that its epoch is chosen on; "
            "the large dot marks the epoch kept. Dotted: the rows that it is fitted on.",
        ),
        Plot(
            "Training of the backbones: accuracy",
            _training("accuracy", "accuracy", spaces),
            f"The same {rows} rows. The epoch is chosen by loss, which notices confident mistakes "
            "that accuracy does not. No intervals: no figure of this report is taken from here.",
        ),
    ]


def _training(figure: str, name: str, spaces: list[Space]) -> str:
    with drawing(f"training-{figure}") as canvas:
        axes = canvas.axes
        for number, space in enumerate(spaces):
            _draw_history(canvas, figure, space, SERIES[number % len(SERIES)])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=name)
        handles, _ = axes.get_legend_handles_labels()
        if figure == "loss":
            handles.append(Line2D([], [], color=INK["muted"], ls=":", label="rows fitted"))
        axes.legend(handles=handles)
        return canvas.svg(f"{name} of each pair of backbones by epoch")


def _draw_history(canvas: Canvas, figure: str, space: Space, colour: str) -> None:
    history: list[dict[str, Any]] = space.attributes["history"]
    epochs = [epoch["epoch"] for epoch in history]
    monitored = [epoch[f"monitored_{figure}"] for epoch in history]
    canvas.axes.plot(epochs, monitored, "o-", color=colour, ms=3, label=space.name)
    kept = max((n for n, epoch in enumerate(history) if epoch["best"]), default=None)
    if kept is not None:
        canvas.axes.plot(epochs[kept], monitored[kept], "o", color=colour, ms=8)
    if figure == "loss":
        fitted = [epoch["train_loss"] for epoch in history]
        canvas.axes.plot(epochs, fitted, ":", color=colour, lw=1.2)


def draw_maps(run: FinishedRun) -> list[Plot]:
    """Where the held-out memes lie: by label, and by what the ensemble got wrong."""
    places = run.held_out
    if len(places) > MOST_DOTS:
        places = np.sort(np.random.default_rng(run.seed).choice(places, MOST_DOTS, replace=False))
    space = run.common_space()
    x, y, share = _plane(run.projected(space)[places])
    label, ensemble = run.table.rows.label[places], run.contenders[ENSEMBLE]
    wrong = (ensemble.held_out[places] > ensemble.row_threshold[places]) != (label == 1)
    of = plural(len(run.held_out), "held-out row")
    shown = of if len(places) == len(run.held_out) else f"{len(places)} of {of}"
    where = (
        f"{shown} in the {space.name} space, on its first two principal components "
        f"({share:.0%} of the variance)."
    )
    by_label = [(label == 0, "benign", "not hateful"), (label == 1, "hateful", "hateful")]
    by_error = [
        (~wrong, "image", "right"),
        (wrong & (label == 0), "benign", "false alarms"),
        (wrong & (label == 1), "hateful", "missed"),
    ]
    mixed = "A map shows what is alike to the backbones, not what they can tell apart."
    counted = (
        f"{count(int(wrong.sum()))} wrong: harmless memes that the ensemble calls hateful, and "
        "hateful ones that it misses. Errors that lie together may share a cause."
    )
    return [
        Plot("Memes by label", _map("map-label", x, y, by_label), f"{where} {mixed}"),
        Plot("Memes by error", _map("map-error", x, y, by_error), f"The same rows: {counted}"),
    ]


def _plane(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """First two principal components of X (N, columns), and their share of the variance."""
    centred = X.astype(np.float64) - X.mean(axis=0)
    left, size, axes = np.linalg.svd(centred, full_matrices=False)
    # An axis may come out either way round: let its largest weight point up.
    sign = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])
    x, y = (left[:, :2] * size[:2] * sign).T
    return x, y, float((size[:2] ** 2).sum() / max((size**2).sum(), 1e-12))


def _map(name: str, x: np.ndarray, y: np.ndarray, parts: list[tuple]) -> str:
    """`parts` are rows (bool), colour and name; those in the colour of no class lie beneath."""
    with drawing(name) as canvas:
        axes = canvas.axes
        beneath = [part for part in parts if part[1] == "image"]
        above = [part for part in parts if part[1] != "image"]
        for here, colour, _ in beneath:
            dots(axes, x[here], y[here], INK[colour], size=2.4, alpha=0.35)
        for layer in range(LAYERS):
            for here, colour, _ in above:
                own = np.flatnonzero(here)[layer::LAYERS]
                dots(axes, x[own], y[own], INK[colour])
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.spines[:].set_visible(False)
        handles = [Line2D([], [], color=INK[c], marker="o", ls="", ms=4) for _, c, _ in parts]
        names = [f"{label} {count(here.sum())}" for here, _, label in parts]
        canvas.figure.legend(handles, names, loc="outside upper left", ncols=len(names))
        return canvas.svg(", ".join(names))
