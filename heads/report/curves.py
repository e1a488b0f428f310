"""Plots of how well held-out rows are ranked, decided and believed."""

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from heads.evaluation.bootstrap import interval
from heads.evaluation.metrics import METRICS, count_above
from heads.evaluation.scores import BINS
from heads.report.finished_run import ENSEMBLE, Contender, FinishedRun
from heads.report.formatting import METRIC_NAMES, decimal, plural, signed, signed_span, span
from heads.report.svg import INK, Plot, drawing

GRID = np.linspace(0, 1, 101)

THRESHOLDS = np.linspace(0.01, 0.99, 99)


def draw_ranking(run: FinishedRun) -> list[Plot]:
    """ROC and precision-recall curves, the ensemble's with a band."""
    return [
        _draw_curves(run, "roc", "ROC", "auroc", "AUROC"),
        _draw_curves(run, "pr", "Precision and recall", "average_precision", "average precision"),
    ]


def _draw_curves(run: FinishedRun, name: str, title: str, key: str, figure: str) -> Plot:
    places = run.held_out
    y, resamples = run.table.rows.label[places], run.resamples(places)
    probability = run.contenders[ENSEMBLE].held_out[places]
    with drawing(name) as canvas:
        axes = canvas.axes
        # Of the first few memes, precision is anything.
        grid = GRID if name == "roc" else GRID[2:]
        low, high = _band(name, grid, y, probability, resamples)
        axes.fill_between(grid, low, high, color=INK["ensemble"], alpha=0.18, linewidth=0)
        for one, colour in _compared(run):
            x, height = _curve(name, y, one.held_out[places])
            label = f"{one.name} {decimal(one.scores['held_out'][key]['value'])}"
            wide = 2 if one.name == ENSEMBLE else 1.2
            axes.plot(x, height, color=colour, lw=wide, label=label)
        share = y.mean()
        floor = ([0, 1], [0, 1]) if name == "roc" else ([0, 1], [share, share])
        axes.plot(*floor, color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        _unit(axes)
        if name == "roc":
            axes.set(xlabel="false positive rate", ylabel="true positive rate")
            axes.legend(loc="lower right")
        else:
            axes.set(xlabel="recall", ylabel="precision")
            axes.legend(loc="best")
        svg = canvas.svg(f"{title} of the ensemble and the heads it is compared with")
    found = run.ensemble.scores["held_out"][key]
    chance = "the diagonal" if name == "roc" else f"the share of hateful memes, {share:.2f}"
    return Plot(
        title,
        svg,
        f"{plural(len(places), 'held-out row')}. Band: 95 % of resamples, for the ensemble, whose "
        f"{figure} is {decimal(found['value'])} ({span(found['interval'])}). Dotted: chance, "
        f"{chance}.",
    )


def _compared(run: FinishedRun) -> list[tuple[Contender, str]]:
    """Each contender once, with its colour; the ensemble last, on top."""
    colours = {"image only": "image", "text only": "text", "joint": "joint"}
    colours |= {run.best_head().name: "best", ENSEMBLE: "ensemble"}
    return [(run.contenders[n], INK[c]) for n, c in colours.items() if n in run.contenders]


def _curve(name: str, y: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if name == "roc":
        return roc_curve(y, probability)[:2]
    precision, recall, _ = precision_recall_curve(y, probability, drop_intermediate=True)
    # The last point, precision 1 at recall 0, is no threshold's.
    return recall[:-1], precision[:-1]


def _band(
    name: str, grid: np.ndarray, y: np.ndarray, probability: np.ndarray, resamples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the curve at each place of `grid`."""
    order = np.argsort(-probability, kind="stable")
    last = np.flatnonzero(np.diff(probability[order], append=np.nan) != 0)
    hits = np.cumsum((resamples * y)[:, order], axis=1)[:, last]
    misses = np.cumsum((resamples * (1 - y))[:, order], axis=1)[:, last]
    heights = []
    for hit, miss in zip(hits, misses, strict=True):
        if not (hit[-1] and miss[-1]):
            continue
        recall = hit / hit[-1]
        if name == "roc":
            x = np.append(0, miss / miss[-1])
            heights.append(np.interp(grid, x, np.append(0, recall)))
        else:
            heights.append(np.interp(grid, recall, hit / np.maximum(hit + miss, 1)))
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    return low, high


def draw_thresholds(run: FinishedRun) -> Plot:
    """The metric against the threshold, and why the chosen one is the chosen one."""
    places, metric = run.held_out, run.best_head().record.metric
    y, probability = run.table.rows.label[places], run.contenders[ENSEMBLE].held_out[places]
    weight = run.weight[places]

    count = count_above(y, probability, THRESHOLDS)

    def scores(weights: np.ndarray) -> np.ndarray:
        return METRICS[metric](count(weights))

    once = scores(weight[None, :])[0]
    low, high = np.quantile(scores(run.resamples(places) * weight), [0.025, 0.975], axis=0)
    chosen = run.ensemble.threshold["value"]
    with drawing("threshold") as canvas:
        axes = canvas.axes
        axes.fill_between(THRESHOLDS, low, high, color=INK["ensemble"], alpha=0.18, linewidth=0)
        axes.plot(THRESHOLDS, once, color=INK["ensemble"], lw=2)
        axes.axvline(0.5, color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        axes.axvline(chosen, color=INK["best"], lw=1.4)
        side = "right" if chosen > 0.6 else "left"
        axes.annotate(
            f" chosen: {decimal(chosen, 2)} ",
            (chosen, 0.03),
            xycoords=("data", "axes fraction"),
            ha=side,
            color=INK["best"],
        )
        axes.set(xlabel="threshold", ylabel=METRIC_NAMES[metric], xlim=(0, 1))
        svg = canvas.svg(f"{METRIC_NAMES[metric]} of the ensemble against the threshold")
    return Plot(
        "Threshold",
        svg,
        f"{why_this_threshold(run)} {plural(len(places), 'held-out row')}; band: 95 % of resamples "
        "at each threshold. Dotted: 0.5.",
    )


def why_this_threshold(run: FinishedRun) -> str:
    """Why 0.5 stayed, or why it did not."""
    tuned, metric = run.ensemble.threshold, METRIC_NAMES[run.best_head().record.metric]
    best, gain = decimal(tuned["best"], 2), f"{signed(tuned['gain'])} {metric}"
    spread = signed_span(tuned["gain_interval"])
    if tuned["best"] == 0.5:
        return "0.5 is the best threshold on these rows, so it stays."
    if tuned["value"] == 0.5:
        return (
            f"0.5 stays: {best} scores best, {gain}, but on rows left out of the choice its gain "
            f"is {spread}, which may be nothing."
        )
    return f"{best} is taken: {gain} over 0.5, and {spread} on rows left out of the choice."


def draw_reliability(run: FinishedRun) -> Plot:
    """What the ensemble says against how often it happens, in bins of equally many rows."""
    places = run.held_out
    y, probability = run.table.rows.label[places], run.contenders[ENSEMBLE].held_out[places]
    weight, resamples = run.weight[places], run.resamples(places)
    bins = [b for b in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(b)]
    said = [np.average(probability[b], weights=weight[b]) for b in bins]
    true = np.array([np.average(y[b], weights=weight[b]) for b in bins])
    spread = np.array([_share_interval(y[b], (resamples * weight)[:, b]) for b in bins])
    with drawing("reliability") as canvas:
        axes = canvas.axes
        _draw_counts(axes, y, probability)
        axes.plot([0, 1], [0, 1], color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        axes.vlines(said, spread[:, 0], spread[:, 1], color=INK["ensemble"], lw=1.4)
        axes.plot(said, true, "o", color=INK["ensemble"], ms=4.5)
        _unit(axes)
        axes.set(xlabel="probability given", ylabel="share that is hateful")
        svg = canvas.svg("Share of hateful memes against the probability that the ensemble gives")
    error, sizes = run.ensemble.scores["held_out"]["calibration_error"], [len(b) for b in bins]
    each = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} or {max(sizes)}"
    return Plot(
        "Calibration",
        svg,
        f"{plural(len(places), 'held-out row')} in {len(bins)} bins of {each}; whiskers: 95 % of "
        f"resamples. On the dotted line, a probability means what it says; the mean distance from "
        f"it is {decimal(error)}. Below: how many rows are given each probability, hateful ones "
        "in red.",
    )


def _share_interval(y: np.ndarray, weights: np.ndarray) -> list[float]:
    total = weights.sum(axis=1)
    shares = np.divide(weights @ y, total, out=np.full(len(total), np.nan), where=total > 0)
    return interval(shares)


def _draw_counts(axes: Axes, y: np.ndarray, probability: np.ndarray) -> None:
    """A histogram along the bottom, a fifth of the height."""
    edges = np.linspace(0, 1, 41)
    counts = [np.histogram(probability[y == label], edges)[0] for label in (1, 0)]
    scale = 0.2 / max(1, np.max(counts[0] + counts[1]))
    below = np.zeros(len(edges) - 1)
    for height, colour in zip(counts, (INK["hateful"], INK["benign"]), strict=True):
        axes.bar(edges[:-1], height * scale, 0.022, below, align="edge", color=colour, alpha=0.55)
        below = below + height * scale


def _unit(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
