"""Plots on held-out rows: ROC, precision-recall, metric against threshold, and calibration."""

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from heads.evaluation.bootstrap import percentile_interval
from heads.evaluation.metrics import METRICS, confusion_counts_above
from heads.evaluation.score_summary import BINS, RANKING_METRICS
from heads.report.finished_run import ENSEMBLE, EvaluatedModel, FinishedRun
from heads.report.formatting import METRIC_NAMES, decimal, plural, signed, signed_span, span
from heads.report.svg import INK, Plot, drawing

GRID = np.linspace(0, 1, 101)
"""False positive rates, or recalls, at which the bands are computed."""

THRESHOLDS = np.linspace(0.01, 0.99, 99)


def draw_roc_and_pr(run: FinishedRun) -> list[Plot]:
    """Draw the ROC and precision-recall curves, with a confidence band for the ensemble.

    All curves have the weights of the ensemble's scores: those of --prior, if it was given.
    """
    return [
        _draw_curves(run, "roc", "ROC", "auroc", "AUROC"),
        _draw_curves(run, "pr", "Precision-recall", "average_precision", "average precision"),
    ]


def _draw_curves(run: FinishedRun, name: str, title: str, key: str, metric: str) -> Plot:
    rows = run.held_out_rows
    y, weight = run.table.rows.label[rows], run.weight[rows]
    with drawing(name) as canvas:
        axes = canvas.axes
        # At the lowest recalls, precision depends on very few memes.
        grid = GRID if name == "roc" else GRID[2:]
        low, high = _band(run, name, grid)
        axes.fill_between(grid, low, high, color=INK["ensemble"], alpha=0.18, linewidth=0)
        for model, colour in _plotted_models(run):
            probability = model.held_out[rows]
            x, height = _curve(name, y, probability, weight)
            value = RANKING_METRICS[key](y, probability)(weight[None, :])[0]
            label = f"{model.name} {decimal(value)}"
            width = 2 if model.name == ENSEMBLE else 1.2
            axes.plot(x, height, color=colour, lw=width, label=label)
        share = np.average(y, weights=weight)
        baseline = ([0, 1], [0, 1]) if name == "roc" else ([0, 1], [share, share])
        axes.plot(*baseline, color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        _unit_axes(axes)
        if name == "roc":
            axes.set(xlabel="false positive rate", ylabel="true positive rate")
            axes.legend(loc="lower right")
        else:
            axes.set(xlabel="recall", ylabel="precision")
            axes.legend(loc="best")
        svg = canvas.svg(f"{title} curves of the ensemble and the heads it is compared with")
    score = run.ensemble.scores["held_out"][key]
    chance = "the diagonal" if name == "roc" else f"the share of hateful memes, {share:.2f}"
    return Plot(
        title,
        svg,
        f"{plural(len(rows), 'held-out row')}. Band: 95 % of bootstrap resamples of the ensemble, "
        f"whose {metric} is {decimal(score['value'])} ({span(score['interval'])}). Dotted: chance, "
        f"{chance}.",
    )


def _plotted_models(run: FinishedRun) -> list[tuple[EvaluatedModel, str]]:
    """List the models to plot and their colours. The ensemble is last, so that it is on top."""
    colours = {"image only": "image", "text only": "text", "joint": "joint"}
    colours |= {run.best_head().name: "best", ENSEMBLE: "ensemble"}
    return [(run.models[n], INK[c]) for n, c in colours.items() if n in run.models]


def _curve(
    name: str, y: np.ndarray, probability: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if name == "roc":
        return roc_curve(y, probability, sample_weight=weight)[:2]
    precision, recall, _ = precision_recall_curve(
        y, probability, sample_weight=weight, drop_intermediate=True
    )
    # scikit-learn appends a last point, precision 1 at recall 0, that belongs to no threshold.
    return recall[:-1], precision[:-1]


def _band(run: FinishedRun, name: str, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the 95 % band of the curve at each x in `grid`: float64 (G,) each."""
    rows = run.held_out_rows
    y, probability = run.table.rows.label[rows], run.models[ENSEMBLE].held_out[rows]
    weight = run.weight[rows]
    order = np.argsort(-probability, kind="stable")
    last = np.flatnonzero(np.diff(probability[order], append=np.nan) != 0)

    def heights(times: np.ndarray) -> np.ndarray:
        weights = times * weight
        true_positives = np.cumsum((weights * y)[:, order], axis=1)[:, last]
        false_positives = np.cumsum((weights * (1 - y))[:, order], axis=1)[:, last]
        counts = zip(true_positives, false_positives, strict=True)
        return np.stack([_height(name, grid, *one) for one in counts])

    drawn = run.resampled(heights, rows)
    low, high = np.quantile(drawn[~np.isnan(drawn[:, 0])], [0.025, 0.975], axis=0)
    return low, high


def _height(name: str, grid: np.ndarray, tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Height of a curve at each x in `grid`, from counts above each threshold; NaN if undefined."""
    if not (tp[-1] and fp[-1]):
        return np.full(len(grid), np.nan)
    recall = tp / tp[-1]
    if name == "roc":
        return np.interp(grid, np.append(0, fp / fp[-1]), np.append(0, recall))
    # Rows that a resample does not draw come first: then nothing is above a threshold.
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
    return np.interp(grid, recall, precision)


def draw_thresholds(run: FinishedRun) -> Plot:
    """Draw the metric against the threshold; the caption explains the chosen threshold."""
    rows, metric = run.held_out_rows, run.best_head().record.metric
    y, probability = run.table.rows.label[rows], run.models[ENSEMBLE].held_out[rows]
    weight = run.weight[rows]
    count = confusion_counts_above(y, probability, THRESHOLDS)

    def scores(weights: np.ndarray) -> np.ndarray:
        return METRICS[metric](count(weights))

    values = scores(weight[None, :])[0]
    drawn = run.resampled(lambda times: scores(times * weight), rows)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    chosen = run.ensemble.threshold["value"]
    with drawing("threshold") as canvas:
        axes = canvas.axes
        axes.fill_between(THRESHOLDS, low, high, color=INK["ensemble"], alpha=0.18, linewidth=0)
        axes.plot(THRESHOLDS, values, color=INK["ensemble"], lw=2)
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
        f"{explain_threshold(run)} {plural(len(rows), 'held-out row')}; band: 95 % of bootstrap "
        "resamples at each threshold. Dotted: 0.5.",
    )


def explain_threshold(run: FinishedRun) -> str:
    """Explain why the threshold is 0.5, or why it is not."""
    tuned, metric = run.ensemble.threshold, METRIC_NAMES[run.best_head().record.metric]
    best, gain = decimal(tuned["best"], 2), f"{signed(tuned['gain'])} {metric}"
    spread = signed_span(tuned["gain_interval"])
    if tuned["best"] == 0.5:
        return "The threshold is 0.5, which scores best on these rows."
    if tuned["value"] == 0.5:
        return (
            f"The threshold is 0.5. {best} scores best on these rows ({gain}), but its gain on "
            f"rows it was not tuned on is not significant ({spread})."
        )
    return (
        f"The threshold is {best}: {gain} compared with 0.5, and {spread} on rows it was not tuned "
        "on."
    )


def draw_reliability(run: FinishedRun) -> Plot:
    """Draw the reliability diagram: share of hateful memes against predicted probability.

    Bins are of equal size, give or take one row.
    """
    rows = run.held_out_rows
    y, probability = run.table.rows.label[rows], run.models[ENSEMBLE].held_out[rows]
    weight = run.weight[rows]
    bins = [b for b in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(b)]
    predicted = [np.average(probability[b], weights=weight[b]) for b in bins]
    observed = np.array([np.average(y[b], weights=weight[b]) for b in bins])

    def shares(times: np.ndarray) -> np.ndarray:
        drawn = times * weight
        return np.stack([_positive_shares(y[b], drawn[:, b]) for b in bins], axis=1)

    spread = np.array([percentile_interval(drawn) for drawn in run.resampled(shares, rows).T])
    with drawing("reliability") as canvas:
        axes = canvas.axes
        _draw_histogram(axes, y, probability)
        axes.plot([0, 1], [0, 1], color=INK["muted"], lw=0.8, ls=(0, (1, 3)))
        axes.vlines(predicted, spread[:, 0], spread[:, 1], color=INK["ensemble"], lw=1.4)
        axes.plot(predicted, observed, "o", color=INK["ensemble"], ms=4.5)
        _unit_axes(axes)
        axes.set(xlabel="predicted probability", ylabel="share of hateful memes")
        svg = canvas.svg(
            "Share of hateful memes against the probability that the ensemble predicts"
        )
    error, sizes = run.ensemble.scores["held_out"]["calibration_error"], [len(b) for b in bins]
    each = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} or {max(sizes)}"
    return Plot(
        "Calibration",
        svg,
        f"{plural(len(rows), 'held-out row')} in {len(bins)} bins of {each}; whiskers: 95 % of "
        "bootstrap resamples. Dotted: perfect calibration. The mean distance from it, the expected "
        f"calibration error, is {decimal(error)}. Bottom: histogram of the probabilities, hateful "
        "memes in red.",
    )


def _positive_shares(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1)
    return np.divide(weights @ y, total, out=np.full(len(total), np.nan), where=total > 0)


def _draw_histogram(axes: Axes, y: np.ndarray, probability: np.ndarray) -> None:
    """Draw a histogram along the bottom, a fifth of the plot's height."""
    edges = np.linspace(0, 1, 41)
    counts = [np.histogram(probability[y == label], edges)[0] for label in (1, 0)]
    scale = 0.2 / max(1, np.max(counts[0] + counts[1]))
    bottom = np.zeros(len(edges) - 1)
    for height, colour in zip(counts, (INK["hateful"], INK["benign"]), strict=True):
        axes.bar(edges[:-1], height * scale, 0.022, bottom, align="edge", color=colour, alpha=0.55)
        bottom = bottom + height * scale


def _unit_axes(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
