"""Plots: AUROC of all models, gain by member, learning curves and PCA maps of the memes."""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from features.feature_table import FINE_TUNED, Space
from heads.ensemble.combining import combine
from heads.evaluation.bootstrap import percentile_interval
from heads.evaluation.metrics import auroc
from heads.report.finished_run import ENSEMBLE, FinishedRun
from heads.report.formatting import count, plural
from heads.report.svg import INK, SERIES, Canvas, Plot, drawing, scatter

MAX_DOTS = 4000
"""Memes drawn in a map, at most."""

LAYERS = 16
"""Classes are drawn in alternating layers, so that neither hides the other."""


def draw_auroc_intervals(run: FinishedRun) -> Plot:
    """Draw the AUROC of the ensemble and every head with its interval, best at the top."""
    models = sorted(run.models.values(), key=lambda model: model.auroc()["value"])
    members = {name for name, weight in run.ensemble.weights.items() if weight > 0}
    with drawing("auroc", 0.9 + 0.27 * len(models)) as canvas:
        axes = canvas.axes
        for position, model in enumerate(models):
            colour = INK["ensemble"] if model.name == ENSEMBLE else INK["muted"]
            filled = model.name == ENSEMBLE or model.name in members
            face = colour if filled else INK["paper"]
            for rows, shift, marker in (("held_out", 0.0, "o"), ("test", -0.3, "d")):
                score = model.auroc(rows)
                if score is None:
                    continue
                style = {"color": colour, "alpha": 1.0 if rows == "held_out" else 0.55}
                y = position + shift
                axes.plot(score["interval"], [y] * 2, **style)
                axes.plot(score["value"], y, marker, mfc=face, ms=5, **style)
        axes.axvline(0.5, color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        axes.set_yticks(range(len(models)), [model.name for model in models])
        axes.tick_params(axis="y", length=0, labelcolor=INK["ink"])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="AUROC", ylim=(-0.7, len(models) - 0.4))
        svg = canvas.svg("AUROC of the ensemble and of every head, with intervals")
    test = len(run.test_rows)
    also = f"; diamonds: {plural(test, 'test row')}" if run.ensemble.scores["test"] else ""
    return Plot(
        "AUROC of the ensemble and all heads",
        svg,
        f"Circles: {plural(len(run.held_out_rows), 'held-out row')}{also}. Bars: 95 % intervals. "
        "Filled: the ensemble and its members. Dotted: chance.",
    )


def draw_member_gains(run: FinishedRun) -> Plot | None:
    """Draw how much AUROC each head adds to the ensemble; None if there is only one head."""
    gains = _member_gains(run)
    if not gains:
        return None
    order = sorted(gains, key=lambda name: gains[name][0])
    with drawing("gains", 0.8 + 0.3 * len(order)) as canvas:
        axes = canvas.axes
        for position, name in enumerate(order):
            value, interval = gains[name]
            member = run.ensemble.weights[name] > 0
            colour = INK["ensemble"] if member else INK["muted"]
            face = colour if member else INK["paper"]
            axes.plot(interval, [position] * 2, color=colour)
            axes.plot(value, position, "o", color=colour, mfc=face, ms=5)
        axes.axvline(0, color=INK["muted"], lw=0.8)
        axes.set_yticks(range(len(order)), order)
        axes.tick_params(axis="y", length=0, labelcolor=INK["ink"])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.locator_params(axis="x", nbins=6)
        axes.set(xlabel="AUROC with the head − AUROC without it", ylim=(-0.6, len(order) - 0.4))
        svg = canvas.svg("AUROC that each head adds to the ensemble")
    return Plot(
        "AUROC gain from each head",
        svg,
        f"The ensemble on {plural(len(run.held_out_rows), 'held-out row')} with and without each "
        "head; bars: 95 % of bootstrap resamples. Filled: members. Hollow: dropped heads, added "
        "here with the members’ mean weight.",
    )


def _member_gains(run: FinishedRun) -> dict[str, tuple[float, list[float]]]:
    """AUROC gain of each head and its interval, without calibration, which preserves ranks."""
    rows, weights = run.held_out_rows, np.array([*run.ensemble.weights.values()])
    y = run.table.rows.label[rows]
    candidates = [run.models[name] for name in run.ensemble.weights]
    held_out = np.stack([head.held_out[rows] for head in candidates])
    thresholds = np.stack([head.row_threshold[rows] for head in candidates])

    @cache  # most members are compared with the same ensemble
    def aurocs(weights: tuple[float, ...]) -> np.ndarray:
        shares = np.array(weights) / np.sum(weights)
        score = combine(run.ensemble.kind, held_out, shares, held_out, thresholds)
        metric = auroc(y, score)
        return np.append(metric(np.ones((1, len(y)))), run.resampled(metric, rows))

    gains = {}
    for index, head in enumerate(candidates):
        with_head, without = weights.copy(), weights.copy()
        without[index] = 0
        with_head[index] = weights[index] or weights[weights > 0].mean()
        if without.any():
            gain = aurocs(tuple(with_head)) - aurocs(tuple(without))
            gains[head.name] = (float(gain[0]), percentile_interval(gain[1:]))
    return gains


def draw_learning_curves(run: FinishedRun) -> list[Plot]:
    """Draw loss and accuracy by epoch of each fine-tuned space; empty if there is none."""
    spaces = [s for s in run.table.spaces if s.kind == FINE_TUNED and s.attributes.get("history")]
    labelled = run.table.rows.labelled
    if not spaces:
        return []
    chosen = any(space.monitored.any() for space in spaces)
    counts = sorted(
        {int((space.monitored if chosen else space.held_out & labelled).sum()) for space in spaces}
    )
    rows = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
    evaluated, use = (
        (f"the {rows} monitored rows", "the epoch with the lowest, marked by a large dot, is used")
        if chosen
        else (f"the {rows} held-out rows", "nothing is chosen by it, and the last epoch is used")
    )
    return [
        Plot(
            "Training of the backbones: loss",
            _learning_curve("loss", "log loss", spaces),
            f"One pair of backbones per fold. Lines: loss on {evaluated}; {use}. "
            "Dotted: loss on the training rows.",
        ),
        Plot(
            "Training of the backbones: accuracy",
            _learning_curve("accuracy", "accuracy", spaces),
            f"On {evaluated}, at threshold 0.5 and not calibrated.",
        ),
    ]


def _learning_curve(figure: str, name: str, spaces: list[Space]) -> str:
    with drawing(f"training-{figure}") as canvas:
        axes = canvas.axes
        for number, space in enumerate(spaces):
            _draw_history(canvas, figure, space, SERIES[number % len(SERIES)])
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=name)
        handles, _ = axes.get_legend_handles_labels()
        if figure == "loss":
            handles.append(Line2D([], [], color=INK["muted"], ls=":", label="training rows"))
        axes.legend(handles=handles)
        return canvas.svg(f"{name} of each pair of backbones, by epoch")


def _draw_history(canvas: Canvas, figure: str, space: Space, colour: str) -> None:
    history: list[dict[str, Any]] = space.attributes["history"]
    epochs = [epoch["epoch"] for epoch in history]
    evaluated = [epoch[f"eval_{figure}"] for epoch in history]
    canvas.axes.plot(epochs, evaluated, "o-", color=colour, ms=3, label=space.name)
    best = max((n for n, epoch in enumerate(history) if epoch["best"]), default=None)
    if best is not None:
        canvas.axes.plot(epochs[best], evaluated[best], "o", color=colour, ms=8)
    if figure == "loss":
        train_loss = [epoch["train_loss"] for epoch in history]
        canvas.axes.plot(epochs, train_loss, ":", color=colour, lw=1.2)


def draw_pca_maps(run: FinishedRun) -> list[Plot]:
    """Draw the held-out memes on two principal components: by label and by error."""
    rows = run.held_out_rows
    if len(rows) > MAX_DOTS:
        rows = np.sort(np.random.default_rng(run.seed).choice(rows, MAX_DOTS, replace=False))
    space = run.common_space()
    x, y, explained = _principal_components(run.projected(space)[rows])
    label, ensemble = run.table.rows.label[rows], run.models[ENSEMBLE]
    wrong = (ensemble.held_out[rows] > ensemble.row_threshold[rows]) != (label == 1)
    total = plural(len(run.held_out_rows), "held-out row")
    shown = total
    if len(rows) < len(run.held_out_rows):
        shown = f"{count(len(rows))} of {total}, drawn at random,"
    caption = (
        f"{shown} on the first two principal components of the {space.name} space "
        f"({explained:.0%} of the variance)."
    )
    by_label = [(label == 0, "benign", "not hateful"), (label == 1, "hateful", "hateful")]
    by_error = [
        (~wrong, "image", "correct"),
        (wrong & (label == 0), "benign", "false positives"),
        (wrong & (label == 1), "hateful", "false negatives"),
    ]
    note = (
        "The map shows which memes have similar embeddings. Classes that overlap here may still "
        "be separable in more dimensions."
    )
    errors = (
        f"{count(int(wrong.sum()))} mistakes. False positives are memes that are wrongly "
        "predicted hateful, false negatives are hateful memes that are missed. Mistakes close to "
        "each other may have the same cause."
    )
    return [
        Plot("Memes by label", _map("map-label", x, y, by_label), f"{caption} {note}"),
        Plot("Memes by error", _map("map-error", x, y, by_error), f"The same rows: {errors}"),
    ]


def _principal_components(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores (N,) on the first two components of X (N, columns), and explained variance ratio."""
    centred = X.astype(np.float64) - X.mean(axis=0)
    U, S, Vt = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary: make its largest loading positive.
    sign = np.sign(Vt[np.arange(2), np.abs(Vt[:2]).argmax(axis=1)])
    x, y = (U[:, :2] * S[:2] * sign).T
    return x, y, float((S[:2] ** 2).sum() / max((S**2).sum(), 1e-12))


def _map(name: str, x: np.ndarray, y: np.ndarray, parts: list[tuple]) -> str:
    """`parts` are masks (N,), colours and names; parts in the colour `image` are drawn first."""
    with drawing(name) as canvas:
        axes = canvas.axes
        background = [part for part in parts if part[1] == "image"]
        foreground = [part for part in parts if part[1] != "image"]
        for mask, colour, _ in background:
            scatter(axes, x[mask], y[mask], INK[colour], size=2.4, alpha=0.35)
        for layer in range(LAYERS):
            for mask, colour, _ in foreground:
                dots = np.flatnonzero(mask)[layer::LAYERS]
                scatter(axes, x[dots], y[dots], INK[colour])
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        axes.spines[:].set_visible(False)
        handles = [Line2D([], [], color=INK[c], marker="o", ls="", ms=4) for _, c, _ in parts]
        names = [f"{label} {count(mask.sum())}" for mask, _, label in parts]
        canvas.figure.legend(handles, names, loc="outside upper left", ncols=len(names))
        return canvas.svg(", ".join(names))
